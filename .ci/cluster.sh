# Sourced by `run`: the test cluster beside this repository, if there is one and we may start it (root).
#
# Its programs are compiled once per machine, which takes about a quarter of an hour; where they are not there yet they
# are made in the background, and the tests that need them come last.

cluster_folder=$PWD/../shared/cluster
cluster_started=""
cluster_builder=""
CLUSTER_WAIT_UNTIL=${CLUSTER_WAIT_UNTIL:-2400} # seconds since the start of the run; then these tests are left out

cluster_usable() { [ "$(id -u)" -eq 0 ] && [ -x "$cluster_folder/up" ]; }

cluster_built() {
    (. "$cluster_folder/cluster.env" &&
        for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl helm coredns metrics-server; do
            [ -x "$CLUSTER_CACHE/bin/$name" ] || exit 1
        done)
}

cluster_answers() {
    (. "$cluster_folder/cluster.env" && kubectl get --raw /readyz --request-timeout=5s) >/dev/null 2>&1
}

# Start it, unless it is up already, and let the tests know; a start that fails leaves them out.
cluster_up() {
    if ! cluster_answers; then
        if ! CLUSTER_NODES=0 timeout 180 "$cluster_folder/up" >/dev/null; then
            echo "the test cluster did not start: its tests are left out" >&2
            return 1
        fi
        cluster_started=yes
    fi
    export RATCHET_TEST_CLUSTER=$cluster_folder
}

cluster_begin() {
    cluster_usable || return 0
    if cluster_built; then
        cluster_up || true
    else
        echo "compiling the test cluster's programs in the background" >&2
        setsid nice -n 15 "$cluster_folder/build" >/dev/null 2>&1 &
        cluster_builder=$!
    fi
}

# Wait for the programs, but not for ever. Succeeds if the cluster is up only now, so that its tests are still to be run.
cluster_late() {
    [ -n "$cluster_builder" ] || return 1
    while kill -0 "$cluster_builder" 2>/dev/null; do
        if [ "$SECONDS" -ge "$CLUSTER_WAIT_UNTIL" ]; then
            echo "the test cluster's programs are not there yet: its tests are left out" >&2
            return 1
        fi
        sleep 2
    done
    wait "$cluster_builder" || return 1
    cluster_up
}

# The chart on nodes, last: what an image, a release and a failure cost is told by the quick part of tests/e2e.
# A cluster that somebody else has started is left alone.
cluster_e2e() {
    cluster_usable && cluster_built || return 0
    if [ -z "$cluster_started" ] || [ "$SECONDS" -ge "$CLUSTER_WAIT_UNTIL" ]; then
        echo "the chart is not tried on nodes: the cluster is not ours, or it is late" >&2
        return 0
    fi
    "$cluster_folder/down" >/dev/null 2>&1
    if ! CLUSTER_NODES=2 timeout 300 "$cluster_folder/up" >/dev/null; then
        echo "the nodes did not start: the chart is not tried on them" >&2
        return 0
    fi
    "$cluster_folder/build-image" -t ratchet:ci --build-arg PYTHON_IMAGE=localhost/python:3.11 . || return 1
    (. "$cluster_folder/cluster.env" && unset HELM KUBECTL && # its own are of its version
        E2E=quick E2E_IMAGE=localhost/ratchet:ci E2E_LOAD="$cluster_folder/load-image" E2E_FAULT="$cluster_folder/fault" timeout 1200 make e2e)
}

cluster_end() {
    if [ -n "$cluster_builder" ]; then kill -- "-$cluster_builder" 2>/dev/null || true; fi
    if [ -n "$cluster_started" ]; then "$cluster_folder/down" >/dev/null 2>&1 || true; fi
}
