# bash completion for phoenix

_phoenix() {
    # bash splits words at = and :, phoenix does not.
    local -a words=()
    local index=0 i word glue=''
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        ((i == COMP_CWORD)) && word=$2
        # What stands behind the cursor does not count.
        ((i == COMP_CWORD)) && [[ ${COMP_WORDS[i]} == [=:]* ]] && word=${COMP_WORDS[i]}
        if ((i > 0)) && [[ -n ${glue} || ${word} == [=:]* ]]; then
            words[index]+=${word}
        else
            ((i > 0)) && index=$((index + 1))
            words[index]=${word}
        fi
        glue=''
        [[ ${word} == *[=:] ]] && glue=1
    done
    # Only what stands behind the last = or : is bash's to replace.
    local before=''
    [[ ${COMP_WORDBREAKS} == *[=:]* && ${words[index]} == *[=:]* ]] && before=${words[index]%"${words[index]##*[=:]}"}

    COMPREPLY=()
    local value _
    # What stands after the tab is for shells that show it.
    while IFS=$'\t' read -r value _; do
        value=${value#"${before}"}
        # A file's name may be anything: it is put on the line as one harmless word.
        printf -v value '%q' "${value}"
        [[ ${value} == *[/=:] ]] || value+=' '
        COMPREPLY+=("${value}")
    done < <(command phoenix complete "${index}" -- "${words[@]}" 2>/dev/null)
}

complete -o nospace -o nosort -F _phoenix phoenix 2>/dev/null || complete -o nospace -F _phoenix phoenix
