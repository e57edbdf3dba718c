"""`kubectl ratchet`: what an operator of a cluster asks and does, from one screen of status to drilled failures.

Belongs here: command lines that drive kubectl, and the drills. Data of the product comes from `ratchet ... --json`
inside a pod, data of the cluster from kubectl; no library of Kubernetes is used.
Does not belong here: rules, SQL, and whatever a pod itself does.
"""

from ratchet.kubectl.completing import complete
from ratchet.kubectl.main import main

__all__ = ["complete", "main"]
