"""Verb completion."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from heronshim.cli.output import JsonOption, Output, OutputOption, print_json, wants_json

app = typer.Typer(rich_markup_mode=None)


class Shell(StrEnum):
    """Shells that completion is known for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_SCRIPTS = {
    Shell.BASH: """\
# Put this line into ~/.bashrc:  eval "$(heronshim completion bash)"
_heronshim_completion() {
    local IFS=$'\\n'
    COMPREPLY=($(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _HERONSHIM_COMPLETE=complete_bash heronshim))
}
complete -o default -F _heronshim_completion heronshim
""",
    Shell.ZSH: """\
# Put this line into ~/.zshrc, after compinit:  eval "$(heronshim completion zsh)"
_heronshim_completion() {
    eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" \\
        _HERONSHIM_COMPLETE=complete_zsh heronshim)
}
compdef _heronshim_completion heronshim
""",
    Shell.FISH: """\
# Type once:  heronshim completion fish > ~/.config/fish/completions/heronshim.fish
complete --command heronshim --no-files --arguments \\
    "(env _HERONSHIM_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \\
    _TYPER_COMPLETE_ARGS=(commandline -cp) heronshim)"
""",
}


@app.command("completion")
def completion(
    shell: Annotated[Shell, typer.Argument(help="Shell to complete in.")],
    output: OutputOption = Output.TABLE,
    json: JsonOption = False,
) -> None:
    """Print the completion script of a shell."""
    if wants_json(output, json):
        print_json({"shell": str(shell), "script": _SCRIPTS[shell]})
    else:
        typer.echo(_SCRIPTS[shell], nl=False)
