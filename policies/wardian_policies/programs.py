"""Programs that run what stands in their arguments: wrappers, shells, interpreters, some options.

An allowing pattern may use a wildcard only behind the words that say which program really runs:
`timeout 60 pytest **` allows pytest, `env **` or `find ** ` with `-exec` allows nothing.
Covers: what is listed here. Does not cover: programs that read what to run from a file (`make`, a
script, `npm run`), and options nobody thought of. What a command can do at worst is bounded by the
sandbox.
"""

import re

_WRAPPERS = """
    ash awk bash busybox chroot chrt csh dash dbus-run-session doas entr env fish flock gawk gdb
    ionice ksh ltrace mawk mksh nawk nice nohup nsenter parallel pkexec pwsh runuser script sed
    setarch setpriv setsid sh ssh stdbuf strace su sudo systemd-run taskset tcsh time timeout
    toybox unshare watch xargs zsh
"""
WRAPPERS = frozenset(_WRAPPERS.split())
"""They run a program, a script or a text that follows."""

INLINE = {
    "lua": "e",
    "node": "ep",
    "perl": "eE",
    "php": "rBRE",
    "python": "c",
    "ruby": "e",
}
"""interpreter → the letters of its options that take code; `--eval` and the like always do"""

OPTIONS = {
    "find": ("-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fls"),
    "fd": ("-x", "-X", "--exec"),
    "git": (
        *("-c", "--config-env", "--exec-path", "--ext-diff", "--upload-pack", "--receive-pack"),
        *("-x", "--exec", "-u", "-O", "--open-files-in-pager", "--textconv", "config", "bisect"),
        *("foreach", "filter-branch", "difftool", "mergetool", "alias"),
    ),
    "rsync": ("-e", "--rsh", "--rsync-path"),
    "scp": ("-S", "-o"),
    "sftp": ("-S", "-o"),
    "sort": ("--compress-program",),
    "split": ("--filter",),
    "tar": ("--to-command", "-I", "--use-compress-program", "--checkpoint-action", "-F", "--rsh"),
    "zip": ("-TT", "--unzip-command"),
    "rg": ("--pre",),
    "man": ("-P", "--pager", "-H"),
    "docker": ("run", "exec"),
    "podman": ("run", "exec"),
    "npm": ("exec", "x"),
    "make": ("--eval", "SHELL"),
    "go": ("-exec", "-toolexec"),
    "cargo": ("--config",),
    "curl": ("-K", "--config"),
    "wget": ("--use-askpass", "-e", "--execute"),
}
"""program → words that make it run, or be led by, something else"""

NUMBER = re.compile(r"[0-9.]+[a-z]?")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")


def base_name(word: str) -> str:
    return word.rpartition("/")[2]


def literal_words(argv: tuple[str, ...]) -> int:
    """How many words of the command an allowing pattern must spell out; 0 for most programs."""
    name = base_name(argv[0])
    if name in WRAPPERS:
        return after_program(argv)
    if name in OPTIONS:
        return len(argv) if is_led(argv[1:], OPTIONS[name]) else 0
    letters = INLINE.get(name) or INLINE.get(name.rstrip("0123456789."))
    if letters and any(has_inline_code(word, letters) for word in argv[1:]):
        return len(argv)
    return 0


def is_led(words: tuple[str, ...], options: tuple[str, ...]) -> bool:
    """Is one of the words such an option, alone or with its value?"""
    for option in options:
        attached = option if len(option) == 2 and option[0] == "-" else f"{option}="
        if any(word == option or word.startswith(attached) for word in words):
            return True
    return False


def has_inline_code(word: str, letters: str) -> bool:
    if word.startswith("--"):
        return word.startswith(("--eval", "--print", "--run", "--process-code"))
    return word.startswith("-") and bool(set(word) & set(letters))


def after_program(argv: tuple[str, ...]) -> int:
    """The number of words up to the program that a wrapper runs, itself included.

    An option is taken to have a value, so the number is rather too large than too small.
    """
    is_value = False
    for index, word in enumerate(argv[1:], start=1):
        if word.startswith("-"):
            is_value = "=" not in word
        elif is_value:
            is_value = False
        elif not NUMBER.fullmatch(word) and not ASSIGNMENT.match(word):
            return index + 1
    return len(argv)
