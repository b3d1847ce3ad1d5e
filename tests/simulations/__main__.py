"""All simulations of the statistics page, on standard output."""

from . import advice, blocks, coverage, crossed, errors, futility, peers, splits, stopping

if __name__ == "__main__":
    for rows in (
        errors.rows(40_000, 5_000),
        coverage.rows(20_000, 2_000),
        stopping.rows(4_000),
        futility.rows(10_000),
        advice.rows(1_000),
        peers.rows(10_000, 600, 2_000),
        splits.rows(1_000),
        crossed.rows(2_000),
        blocks.rows(10_000, 4_000),
    ):
        for line in rows:
            print(line, flush=True)
