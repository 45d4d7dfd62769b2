"""The commands of `agent`, and the help that lists them.

Nothing is imported here, so that `agent --help` and completion of a command's name stay quick.
"""

COMMANDS = {
    "run": ("wardian.cli.run", "Give the agent a task."),
    "resume": ("wardian.cli.resume", "Go on with a run where it stopped."),
    "replay": ("wardian.cli.replay", "Do a recorded run again and find the first difference."),
    "fork": ("wardian.cli.fork", "Restart a run from one of its steps, in a copy."),
    "undo": ("wardian.cli.undo", "Take back what a run did to files."),
    "runs": ("wardian.cli.runs", "List, show, search, compare and remove recorded runs."),
    "eval": ("wardian.cli.eval", "Measure models on a suite of tasks, and compare them."),
    "tasks": ("wardian.cli.tasks", "List, try and make tasks with a check, also of runs."),
    "export": ("wardian.cli.export", "Write recorded runs as a dataset."),
    "data": ("wardian.cli.data", "Make training data of recorded runs, and look at it."),
    "improve": ("wardian.cli.improve", "Make a model better by its own attempts, round by round."),
    "train": ("wardian.cli.train", "Train a model on recorded runs, or by attempts at tasks."),
    "import": ("wardian.cli.importing", "Take runs that others recorded into the store."),
    "models": ("wardian.cli.models", "List, get, choose and measure models."),
    "tools": ("wardian.cli.tools", "List the tools a model can call, and show one."),
    "mcp": ("wardian.cli.mcp", "Use tool servers (MCP), and be one."),
    "tool": ("wardian.cli.tool", "Build tools by an agent, and run them with no model."),
    "policy": ("wardian.cli.policy", "Show, explain, test and edit what calls are allowed."),
    "trust": ("wardian.cli.trust", "Let a folder's own files lead runs in it."),
    "privacy": ("wardian.cli.privacy", "Show what is kept private, and how well."),
    "sandbox": ("wardian.cli.sandbox", "Check, build, try and clean up where calls run."),
    "config": ("wardian.cli.config", "Show and change the settings, and where they come from."),
    "doctor": ("wardian.cli.doctor", "Check what this machine can do, and how to mend the rest."),
    "completion": ("wardian.cli.completion", "Print the completion script of a shell."),
}
"""name → module with a `register` function, and one line for the list"""

HELP = f"""\
Usage: agent COMMAND [OPTIONS]

An agent that runs on your own machine and gets better from its own work.

Commands:
{chr(10).join(f"  {name:<12}{summary}" for name, (_, summary) in COMMANDS.items())}

Options:
  --version             Print the version.
  --debug               On an unexpected error, show the traceback. Works with every command.
  --install-completion  Install completion for the shell in use.
  --show-completion     Print the completion script of the shell in use.
  -h, --help            Print this help; `agent COMMAND --help` prints a command's.

Example:
  agent run "How many lines are in README.md?"

Exit codes: 0 done, 1 task not achieved, 2 usage, 3 configuration, 4 model or provider,
5 limit reached, 6 approval needed or denied, 7 sandbox unavailable, 8 storage, 128+n signal.
"""
