"""The sandbox by itself: code, files in and out, a state to go back to, a fresh box to check in."""

import asyncio

from wardian_sandbox import Bubblewrap, Confinement, FileFailure, ResourceLimits, SandboxUnavailable


async def main() -> None:
    within = Confinement(
        protected=(".git/config", ".git/hooks/**"),
        limits=ResourceLimits(wall_seconds=20, memory_bytes=1 << 30),
    )
    async with Bubblewrap(confinement=within) as sandbox:
        await sandbox.put("prices.csv", b"item,price\napple,3\npear,4\n")
        result = await sandbox.python(
            "import csv\nrows = list(csv.DictReader(open('prices.csv')))\n"
            "{row['item']: int(row['price']) for row in rows}"
        )
        print("value:", result.value)
        print("as JSON:", result.data)

        before = await sandbox.checkpoint()
        await sandbox.shell("rm prices.csv; echo done > report.txt")
        for change in await sandbox.restore(before):
            print("restored:", change.kind, change.path)

        stopped = await sandbox.python(
            "while True: pass", Confinement(limits=ResourceLimits(wall_seconds=1))
        )
        print("stopped:", stopped.ending.value)

        async with await sandbox.fresh() as grader:
            check = await grader.shell("grep -c , prices.csv")
            print("checked in a fresh box:", check.output.strip(), "lines")

        prices = await sandbox.get("prices.csv")
        assert not isinstance(prices, FileFailure)
        print("out:", prices.reference.mime, prices.reference.size_bytes, "bytes")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except SandboxUnavailable as problem:
        print(problem)
