"""The chart on a real cluster: installed, loaded, broken and audited. Skipped unless E2E says quick or all.

KUBECONFIG   the cluster; its nodes' addresses must be reachable from here (NodePorts)
E2E_IMAGE    the image that its nodes have (localhost/ratchet:dev)
E2E_LOAD     a command that brings the image there; its name is appended
E2E_VALUES   a values file for this cluster (charts/ratchet/ci/test-cluster-values.yaml)
E2E_FAULT    a program that breaks nodes, API server and containers; without it such tests are skipped
HELM, KUBECTL   the programs to use, if not those on PATH
"""
