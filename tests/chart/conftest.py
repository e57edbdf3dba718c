import pytest

from charts import helm


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of what looks at files alone."""
    config.addinivalue_line("markers", "without_helm: needs no helm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs helm where there is none."""
    if helm.find("helm") is not None:
        return
    skip = pytest.mark.skip(reason="helm is neither on PATH nor named by HELM")
    for item in items:
        if "tests/chart/" in item.path.as_posix() and "without_helm" not in item.keywords:
            item.add_marker(skip)
