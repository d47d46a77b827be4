"""The benchmark runs and compares; what it times is not tested, nor is the peer asked."""

import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_without_the_peer_ours_is_told_alone() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/counterfactual.py", "--json", "--repeats", "1"),
            *("--batch", "16", "--batch-defaults", "0", "--patches-peer", "0"),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )

    found = json.loads(done.stdout)
    assert list(found) == [
        *("ratio", "ratio_defaults", "found_ours", "found_peer", "distance_ours", "distance_peer")
    ]
    assert found["found_ours"] == 1.0
    assert found["distance_ours"] > 0
    assert found["ratio"] is None
