#compdef phoenix
# zsh completion for phoenix

_phoenix() {
    local -a line found shown open_found open_shown
    local value help text
    line=("${(@Q)words[1,CURRENT]}")
    line[CURRENT]=${(Q)PREFIX}
    while IFS=$'\t' read -r value help; do
        text=${value}
        [[ -n ${help} ]] && text+="  -- ${help}"
        if [[ ${value} == *[/=:] ]]; then
            open_found+=("${value}")
            open_shown+=("${text}")
        else
            found+=("${value}")
            shown+=("${text}")
        fi
    done < <(command phoenix complete $((CURRENT - 1)) -- "${line[@]}" 2>/dev/null)
    # compadd quotes what it puts on the line.
    ((${#found})) && compadd -l -V phoenix -d shown -a found
    ((${#open_found})) && compadd -l -V phoenix -S '' -d open_shown -a open_found
    ((${#found} + ${#open_found}))
}

if [[ ${funcstack[1]} == _phoenix ]]; then
    _phoenix "$@"
else
    compdef _phoenix phoenix
fi
