"""Each object is what the API of each Kubernetes version takes, field by field: nothing unknown, nothing misspelt."""

import copy

import kubernetes_validate
import pytest

from charts import helm
from tests.chart.objects import KUBERNETES, RENDERED, Object, named, rendered


def unknown_to(kube: str, found: Object) -> bool:
    """Whether that version has no such kind itself; everything else has to be valid. Raises ValidationError."""
    try:
        kubernetes_validate.validate(found, kube, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return True
    return False


@pytest.mark.parametrize("kube", KUBERNETES)
@pytest.mark.parametrize("name", RENDERED)
def test_every_object_is_valid_in_every_version(name: str, kube: str) -> None:
    objects = rendered(name, kube)
    foreign = {found["apiVersion"] for found in objects if unknown_to(kube, found)}
    assert foreign <= set(helm.OPERATORS)
    assert len(objects) > len(foreign)


@pytest.mark.parametrize("kube", KUBERNETES)
def test_a_misspelt_field_is_found(kube: str) -> None:
    deployment = copy.deepcopy(named(rendered("plain", kube), "Deployment", "ratchet-leader"))
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 30
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        unknown_to(kube, deployment)
