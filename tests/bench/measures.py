"""What scripts/bench compares: the cases of each side, the ratio, and its target."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A comparison: the case of each side, the field of its result, and the ratio to report.

    Attributes:
        ratio: "ours/theirs" or "theirs/ours".
        target: Maximum of the ratio, or its minimum if it begins with ">".
        field: Field of the result of a case.
        scale: Factor from the unit of the result to `unit`.
        slow: Whether --quick leaves it out.
        times: Pairs to run; 11, or 3 if it is slow, by default.
    """

    name: str
    ours: str
    theirs: str
    ratio: str
    target: str
    path: str = "small"
    tls: bool = False
    field: str = "value"
    unit: str = "ms"
    scale: float = 1000.0
    slow: bool = False
    times: int = 0


MEASURES = [
    Measure(
        "CPU to load the plugin / llm-gemini", "load:ours", "load:llm-gemini", "ours/theirs", "0.02"
    ),
    Measure(
        "CPU of a CLI prompt, http / llm's class", "prompt:ours", "prompt:llm", "ours/theirs", "0.8"
    ),
    Measure(
        "CPU of a CLI prompt, https / llm's class",
        "prompt:ours",
        "prompt:llm",
        "ours/theirs",
        "1.0",
        tls=True,
    ),
    Measure(
        "chunks a CPU s / openai",
        "chunks:ours",
        "chunks:openai",
        "ours/theirs",
        ">9",
        "chunks",
        unit="k",
        scale=0.001,
    ),
    Measure(
        "chunks a CPU s / httpx + json",
        "chunks:ours",
        "chunks:httpx",
        "ours/theirs",
        ">0.5",
        "chunks",
        unit="k",
        scale=0.001,
    ),
    Measure(
        "the same, one a packet / openai",
        "chunks:ours",
        "chunks:openai",
        "ours/theirs",
        ">9",
        "packets",
        unit="k",
        scale=0.001,
    ),
    Measure(
        "the same, one a packet / httpx + json",
        "chunks:ours",
        "chunks:httpx",
        "ours/theirs",
        ">0.5",
        "packets",
        unit="k",
        scale=0.001,
    ),
    Measure(
        "50 prompts, http: llm's class / ours", "fifty:ours", "fifty:llm", "theirs/ours", ">15"
    ),
    Measure(
        "50 prompts, https: llm's class / ours",
        "fifty:ours",
        "fifty:llm",
        "theirs/ours",
        ">15",
        tls=True,
    ),
    Measure(
        "300 at once, http: llm's class / ours",
        "at-once:ours",
        "at-once:llm",
        "theirs/ours",
        ">10",
        slow=True,
    ),
    Measure(
        "300 at once, https: llm's class / ours",
        "at-once:ours",
        "at-once:llm",
        "theirs/ours",
        ">7",
        tls=True,
        slow=True,
    ),
    Measure(
        "memory of 300 at once / llm's class",
        "at-once:ours",
        "at-once:llm",
        "ours/theirs",
        "0.3",
        field="peak",
        unit="MB",
        scale=1,
        slow=True,
    ),
    Measure(
        "CPU of each of 10,000 / of 300",
        "many:ours",
        "some:ours",
        "ours/theirs",
        "1.2",
        field="cpu",
        slow=True,
    ),
    Measure(
        "rows/s of a batch / xargs -P 8 llm",
        "batch:ours",
        "xargs:ours",
        "ours/theirs",
        ">100",
        unit="rows/s",
        scale=1,
        slow=True,
    ),
    Measure(
        "CPU of a row of a batch / of a bare loop",
        "batch:ours",
        "loop:ours",
        "ours/theirs",
        "2.5",
        field="cpu",
        slow=True,
    ),
    Measure(
        "rows/s of a batch / of a bare loop",
        "batch:ours",
        "loop:ours",
        "ours/theirs",
        ">0.5",
        unit="rows/s",
        scale=1,
        slow=True,
    ),
    Measure(
        "memory of 100,000 rows / of 10,000",
        "batch-100,000:ours",
        "batch-10,000:ours",
        "ours/theirs",
        "1.1",
        field="peak",
        unit="MB",
        scale=1,
        slow=True,
        times=1,
    ),
    Measure(
        "CPU of a row in a second run of 100,000 / of a bare loop",
        "batch-again:ours",
        "loop:ours",
        "ours/theirs",
        "0.05",
        field="cpu",
        slow=True,
        times=1,
    ),
    Measure(
        "memory of 100 MB streamed / echo",
        "large:ours",
        "large:echo",
        "ours/theirs",
        "1.1",
        "large",
        unit="MB",
        scale=1,
        slow=True,
    ),
]
