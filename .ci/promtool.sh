# Sourced by `run`: promtool, which tries the alerts, out of the distribution's package; no server is installed.
# Where there is none to be had, that one test is left out.

promtool_folder=""

promtool_begin() {
    command -v promtool >/dev/null && return 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 0
    promtool_folder=$(mktemp -d)
    if (
        cd "$promtool_folder"
        timeout 60 apt-get download -qq prometheus ||
            { [ "$(id -u)" -eq 0 ] && timeout 60 apt-get update -qq && timeout 60 apt-get download -qq prometheus; }
        dpkg-deb -x prometheus_*.deb .
    ) >/dev/null 2>&1; then
        export PROMTOOL=$promtool_folder/usr/bin/promtool
    else
        echo "promtool could not be fetched: the alerts are not tried" >&2
    fi
}

promtool_end() {
    if [ -n "$promtool_folder" ]; then rm -rf "$promtool_folder"; fi
}
