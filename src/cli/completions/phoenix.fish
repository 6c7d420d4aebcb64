# fish completion for phoenix

function __phoenix_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    command phoenix complete (count $words) -- $words "$current" 2>/dev/null
end

complete --command phoenix --erase
complete --command phoenix --no-files --keep-order --arguments '(__phoenix_complete)'
