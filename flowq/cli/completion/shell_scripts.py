"""Completion scripts for bash and fish.

They use the protocol of click's shell completion. click's own scripts for bash and fish break names like `build[fmt=pdf,lang=en]`: bash
splits words at `=`, and the fish script cuts the answer at its first comma. For zsh, click's script works.
"""

from typing import Final

BASH: Final = r"""
_flowq_completion() {
    local line="${COMP_LINE:0:COMP_POINT}" part="${COMP_WORDS[COMP_CWORD]}" current prefix response type value
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[-1]}"
    # bash completes only the part after the last = or :, flowq answers with the whole word
    [[ $part == [=:] ]] && part=""
    prefix="${current%"$part"}"
    prefix="${prefix//\\/}"
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]} - 1)) _FLOWQ_COMPLETE=bash_complete "$1")
    while IFS=',' read -r type value; do
        case $type in
            file) COMPREPLY=(); compopt -o default ;;
            dir) COMPREPLY=(); compopt -o dirnames ;;
            plain) COMPREPLY+=("${value#"$prefix"}") ;;
        esac
    done <<< "$response"
}

complete -o nosort -F _flowq_completion flowq
"""

FISH: Final = r"""
function _flowq_completion
    set -l response (env _FLOWQ_COMPLETE=fish_complete COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=(commandline -t | string collect) flowq)
    for completion in $response
        set -l parts (string split -m 1 "," -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end

complete --no-files --command flowq --arguments "(_flowq_completion)"
"""
