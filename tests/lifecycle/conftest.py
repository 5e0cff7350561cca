from typing import Any

from tests.lifecycle import lifecycle_counts


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if lines := lifecycle_counts.lines():
        terminalreporter.section("lifecycle")
        for line in lines:
            terminalreporter.write_line(line)
