"""`agent privacy`: what is promised, what is looked for, and how well it is found."""

import os
import sys
from typing import Annotated, Any

import typer

from wardian.cli.grouping import group_of
from wardian.cli.listing import print_json, print_table
from wardian.cli.preview import titles_of_calls
from wardian.cli.terminal import write
from wardian.errors import ExitCode
from wardian.flow import path_of_taint
from wardian.runs import RunStore
from wardian.settings import load_settings, paths
from wardian_policies import Policy
from wardian_policies.redaction.gather import gather
from wardian_policies.redaction.measure import Measured, measure
from wardian_policies.redaction.personal import has_phone_plans

PROMISES = (
    ("P0", "held by --local", "no socket leaves this machine"),
    ("P1", "always", "no registered value reaches a provider, a tool, a log, a screen, an export"),
    (
        "P2",
        "by the policy",
        "no tool gives a model elsewhere what it names private, and its code does not see it",
    ),
    ("P3", "best effort", "personal data is a pseudonym to models elsewhere"),
)
CHANNELS = (
    ("requests to models", "known, structure, rules, personal"),
    ("arguments of tools", "known; pseudonyms are undone here, exact ones only"),
    ("results of tools, their data and figures", "known, structure, rules, personal"),
    ("replies, while they stream", "known, however they are cut"),
    ("trajectories and their blobs", "what the model saw, nothing else"),
    ("copies of workspace files, for undoing", "none: what the files held, for you alone"),
    ("errors and tracebacks", "known"),
    ("screen, --json, runs show", "known; the user's own data is shown"),
)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    group = group_of("What is kept private, and how well.")
    group.command("report", epilog="Example: agent privacy report --samples 10")(report)
    group.command("flow", epilog="Example: agent privacy flow last")(flow)
    app.add_typer(group, name="privacy")


def report(
    *,
    policy: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="The policy; else the one in force.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=1000, help="Of each kind.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="What the labelled set is made from.")] = 1,
    as_json: JsonOption = False,
) -> int:
    """Print the promises, the values looked for, and the recall and false positives by kind.

    They are measured now, on a labelled set that is made for it.
    """
    settings = load_settings({"policy": policy}, os.environ)
    rules = Policy.load(settings.policy, folder=paths(os.environ).policies)
    registered = gather(rules.secrets, os.environ)
    measured = measure(seed, samples)
    if as_json:
        print_json(as_facts(rules, sorted(registered.values), registered.left_out, measured))
        return ExitCode.DONE
    print_table(("PROMISE", "HELD", "WHAT"), PROMISES, "")
    write(sys.stdout, "\n")
    print_table(("CHANNEL", "WHAT IS TAKEN OUT"), CHANNELS, "")
    write(sys.stdout, "\n")
    layers = [
        (name, "on" if getattr(rules.redaction, name) else "off", rules.rule(f"redaction.{name}"))
        for name in ("known", "structure", "rules", "personal")
    ]
    rows = [(name, state, rule.source) for name, state, rule in layers]
    print_table(("LAYER", "POLICY", "FROM"), rows, "")
    write(sys.stdout, "\n")
    names = [(name,) for name in sorted(registered.values)]
    print_table(("REGISTERED",), names, "No secret is registered: see [secrets] of the policy.")
    for sentence in registered.left_out:
        write(sys.stderr, f"agent: {sentence}\n")
    write(sys.stdout, "\n")
    print_rates(measured)
    if not has_phone_plans():
        write(sys.stderr, "agent: phone numbers need pip install 'wardian[privacy]'\n")
    return ExitCode.DONE


def print_rates(measured: Measured) -> None:
    found = [
        (rate.layer, rate.kind, str(rate.samples), percent(rate.share))
        for rate in measured.rates
        if rate.layer != "none"
    ]
    print_table(("LAYER", "KIND", "SAMPLES", "RECALL"), found, "")
    write(sys.stdout, "\n")
    clean = [
        (rate.kind, str(rate.samples), percent(rate.share))
        for rate in measured.rates
        if rate.layer == "none"
    ]
    print_table(("NOTHING TO FIND", "SAMPLES", "CHANGED"), clean, "")
    write(
        sys.stdout,
        f"\nMeasured on texts made from seed {measured.seed}, not on anybody's own: known values"
        f" {percent(measured.recall('known'))}, tokens {percent(measured.recall('rules'))},"
        f" structure {percent(measured.recall('structure'))}, personal data"
        f" {percent(measured.recall('personal'))}; false positives"
        f" {percent(measured.false_positive_share)} of texts.\n",
    )


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def as_facts(
    policy: Policy, names: list[str], left_out: tuple[str, ...], measured: Measured
) -> dict[str, Any]:
    return {
        "promises": {name: what for name, _, what in PROMISES},
        "policy": policy.name,
        "layers": {
            name: getattr(policy.redaction, name)
            for name in ("known", "structure", "rules", "personal")
        },
        "registered": names,
        "left_out": list(left_out),
        "seed": measured.seed,
        "false_positive_share": measured.false_positive_share,
        "rates": [
            {
                "layer": rate.layer,
                "kind": rate.kind,
                "samples": rate.samples,
                "found": rate.found,
                "share": rate.share,
            }
            for rate in measured.rates
        ],
    }


def flow(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or `last`.")],
    *,
    as_json: JsonOption = False,
) -> int:
    """Show what a run read, with the labels of each result, and which of them brought new ones."""
    trajectory = RunStore(paths(os.environ).runs).load(run)
    found = path_of_taint(trajectory.events)
    if as_json:
        print_json(
            [
                {
                    "step": source.step,
                    "tool": source.tool,
                    "call_id": source.call_id,
                    "integrity": source.integrity,
                    "confidentiality": source.confidentiality,
                    "outside": source.outside,
                    "is_first": is_first,
                }
                for source, is_first in found
            ]
        )
        return ExitCode.DONE
    titles = titles_of_calls(trajectory.events)
    rows = [
        (
            str(source.step or "-"),
            source.tool,
            source.integrity.value + (", from outside" if source.outside else ""),
            source.confidentiality.value,
            "new" if is_first else "",
            titles.get(source.call_id, ""),
        )
        for source, is_first in found
    ]
    headers = ("STEP", "RESULT OF", "INTEGRITY", "CONFIDENTIALITY", "LABEL", "CALL")
    print_table(headers, rows, "The run has read nothing.")
    return ExitCode.DONE
