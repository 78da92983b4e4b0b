#!/bin/sh
# Installs, upgrades, rolls back and removes sigma-agent in any of its roles: `install.sh --help`, docs/INSTALL.md.
#
# Plain POSIX sh. Everything stands between the braces, so a download that was cut off runs nothing.
{
set -eu

# A release fills these in: where its files are (https), and the public key that they are signed with (minisign).
RELEASE_URL=''
RELEASE_KEY=''

# No agent is larger. In bytes.
MOST_BYTES=268435456

usage() {
    cat <<'END'
Installs sigma-agent as a service, upgrades it, goes back to the version before it, or removes it.

Usage: install.sh [--role ROLE] [OPTIONS]
       curl -fsSL https://…/install.sh | sudo ROLE=luna LUNASENTRI_API_KEY=… sh

What to do (without one of these: install, or upgrade what is installed):
  --rollback              go back to the version before the last upgrade
  --uninstall             remove the role; configuration and data stay, and are named
  --purge                 remove the role, its configuration, its data and its user
  --dry-run               say what would be done and change nothing; goes with all of them

Which role (or ROLE in the environment):
  --role sigma            registers this host with a Sigma API, serves metrics and ports (default)
  --role luna             pushes samples to a LunaSentri server
  --role guest            tells a Firecracker guest's figures to its host
  --role aegis            runs signed eBPF programs

Where the program comes from:
  --file PATH             from this file: the static binary; nothing is downloaded
  --url URL               from this https URL, instead of the release that this script belongs to
  --sha256 HEX            its checksum; otherwise PATH.sha256 or URL.sha256 has to say it
  --key KEY               public key (minisign) that must have signed it: PATH.minisig or URL.minisig
  --insecure-skip-signature   take a program that nobody signed

How:
  --init systemd|openrc|none  the service manager; default: the one that runs
  --no-start              install and switch on, but start nothing
  --owners none|full|USER role sigma: whose ports are named: nobody's, everybody's, USER's (docs/INSTALL.md)
  --health-timeout SEC    how long a start may take before it counts as failed; default 60
  --root DIR              install into the system below DIR (an image) and start nothing
  --help                  this text

What the configuration is made of, in the environment; where a configuration exists it stays as it is:
  sigma  SIGMA_API_KEY or SIGMA_API_KEY_FILE (needed), SIGMA_API_URL, AGENT_HOSTNAME, AGENT_ALIAS, AGENT_INTERVAL, AGENT_METRICS_PORT,
         AGENT_METRICS_ADDRESS, AGENT_PORT_SCAN, AGENT_PORT_SCAN_RANGE
  luna   LUNASENTRI_API_KEY or LUNASENTRI_API_KEY_FILE (needed), LUNASENTRI_SERVER_URL, LUNASENTRI_INTERVAL,
         LUNASENTRI_RETRY_BACKOFF, LUNASENTRI_MAX_RETRIES, LUNASENTRI_SYSTEM_INFO_PERIOD
  guest  VM_ID, MANAGER_URL, METRICS_PORT
  aegis  AGENT_HOST_ID, AGENT_REGISTRY_URL, AGENT_PUBLIC_KEY, AGENT_VAULT_URL, AGENT_VAULT_KEY, AGENT_VAULT_TOKEN or
         AGENT_VAULT_TOKEN_FILE, AGENT_NATS_URL, AGENT_HTTP_PORT, AGENT_HTTP_ADDRESS

Exit codes: 0 done; 1 not done, the text says what stands now; 3 the new version did not become healthy and the one before it runs
again; 64 a mistake in the call; 75 another install.sh is at work.
END
}

# ---- words ----

say() { printf 'install.sh: %s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
die() { warn "$*"; exit 1; }
mistaken() { warn "$*"; warn "see install.sh --help"; exit 64; }
have() { command -v "$1" >/dev/null 2>&1; }
readable() { [ -f "$1" ] && [ -r "$1" ]; }

# ---- what may be changed, each in one place so that --dry-run is sure to change nothing ----

# Runs a command that changes something; with --dry-run it is only told.
change() {
    if [ -n "$dry" ]; then
        say "would run: $*"
    else
        "$@"
    fi
}

# A folder: PATH MODE [GROUP ID]. One that exists keeps what it has.
make_dir() {
    [ -d "$root$1" ] && return
    if [ -n "$dry" ]; then say "would make the folder $1 ($2)"; return; fi
    mkdir -p "$root$1"
    [ -z "${3:-}" ] || chgrp "$3" "$root$1"
    chmod "$2" "$root$1"
}

# A file from standard input: PATH MODE [GROUP ID]. It appears whole and with its rights, or not at all.
put_file() {
    if [ -n "$dry" ]; then
        cat >/dev/null
        say "would write $1 ($2)"
        return
    fi
    fresh=$root$1.install-new
    rm -f "$fresh"
    (umask 077 && cat >"$fresh")
    [ -z "${3:-}" ] || chgrp "$3" "$fresh"
    chmod "$2" "$fresh"
    mv -f "$fresh" "$root$1"
}

remove() {
    for gone in "$@"; do
        if [ -e "$root$gone" ] || [ -L "$root$gone" ]; then
            if [ -n "$dry" ]; then say "would remove $gone"; else rm -rf "$root$gone"; fi
        fi
    done
}

# A symbolic link: TARGET PATH.
make_link() {
    [ "$(readlink "$root$2" 2>/dev/null)" = "$1" ] && return
    if [ -n "$dry" ]; then say "would link $2 to $1"; return; fi
    ln -sf "$1" "$root$2.install-new"
    mv -f "$root$2.install-new" "$root$2"
}

# ---- roles ----

all_roles='sigma luna guest aegis'

# Sets what a role consists of.
about_role() {
    state='' cache='' logs='' log_link=''
    case $1 in
    sigma) program=sigma-agent service=sigma-agent user=sigma-agent config_dir=/etc/sigma-agent
        config=/etc/sigma-agent/agent.yaml secrets=/etc/sigma-agent/key state=/var/lib/sigma-agent logs=/var/log/sigma-agent ;;
    luna) program=lunasentri-agent service=lunasentri-agent user=lunasentri config_dir=/etc/lunasentri
        config=/etc/lunasentri/agent.yaml secrets=/etc/lunasentri/agent.yaml state=/var/lib/lunasentri logs=/var/log/lunasentri ;;
    guest) program=guest-agent service=guest-agent user=guest-agent config_dir='' config=/etc/guest-agent.conf secrets=''
        logs=/var/log/guest-agent log_link=/var/log/guest-agent.log ;;
    aegis) program=local-agent service=aegisflux-agent user=aegisflux-agent config_dir=/etc/aegisflux
        config=/etc/aegisflux/agent.yaml secrets=/etc/aegisflux/vault-token state=/var/lib/aegisflux-agent
        cache=/var/cache/aegisflux-agent logs=/var/log/aegisflux-agent ;;
    *) mistaken "no role is called '$1'; there are: $all_roles" ;;
    esac
    unit=/etc/systemd/system/$service.service
    script=/etc/init.d/$service
}

is_installed() {
    about_role "$1"
    [ -e "$root$unit" ] || [ -e "$root$script" ]
}

installed_roles() {
    for one in $all_roles; do
        if (is_installed "$one"); then printf '%s ' "$one"; fi
    done
}

# ---- this host ----

look_at_host() {
    distribution='' family=''
    if [ -r "$root/etc/os-release" ]; then
        # Read, not run.
        distribution=$(sed -n 's/^ID="\{0,1\}\([A-Za-z0-9._-]*\)"\{0,1\}$/\1/p' "$root/etc/os-release" | head -n 1)
        family="$distribution $(sed -n 's/^ID_LIKE="\{0,1\}\([A-Za-z0-9._ -]*\)"\{0,1\}$/\1/p' "$root/etc/os-release" | head -n 1)"
    fi
    case " $family " in
    *' debian '* | *' ubuntu '*) packages='apt-get install' ;;
    *' rhel '* | *' fedora '* | *' centos '* | *' amzn '*) packages='dnf install' ;;
    *' alpine '*) packages='apk add' ;;
    *' arch '*) packages='pacman -S' ;;
    *) packages='install the package'
        warn "this distribution (${distribution:-no /etc/os-release}) is not one that was tried; going on with the usual tools" ;;
    esac
    machine=$(uname -m)
    # The first number is the machine in an ELF file's head.
    case $machine in
    x86_64 | amd64) elf='62' asset=sigma-agent-x86_64 ;;
    aarch64 | arm64) elf='183' asset=sigma-agent-aarch64 ;;
    *) die "there is no sigma-agent for processors of the kind $machine; it exists for x86_64 and aarch64" ;;
    esac
    [ "$(uname -s)" = Linux ] || die "sigma-agent is for Linux, this is $(uname -s)"
    choose_init
}

choose_init() {
    running=''
    if [ -z "$root" ]; then
        if [ -d /run/systemd/system ]; then running=systemd
        elif [ -e /run/openrc/softlevel ]; then running=openrc; fi
    fi
    if [ -z "$init" ] && [ -n "$running" ]; then init=$running
    elif [ -z "$init" ] && [ -n "$root" ]; then
        if [ -e "$root/lib/systemd/systemd" ] || [ -e "$root/usr/lib/systemd/systemd" ]; then init=systemd
        elif [ -e "$root/sbin/openrc-run" ]; then init=openrc; fi
    fi
    case $init in
    systemd | openrc | none) ;;
    '') die "neither systemd nor OpenRC runs here: say which one is meant with --init systemd|openrc, or --init none for program, user and configuration alone" ;;
    *) mistaken "--init: '$init' is not allowed; allowed: systemd, openrc, none" ;;
    esac
    # Whether there is somebody to start services.
    live=''
    if [ "$init" = "$running" ] && [ -z "$no_start" ]; then live=yes; fi
}

need_root() {
    [ -n "$dry" ] || [ "$(id -u)" = 0 ] || die "this takes root: run it with sudo, or look first with --dry-run"
}

# One at a time: the lock is on /etc itself, leaves nothing behind, and goes with the process that holds it.
take_turn() {
    [ -z "$dry" ] || return 0
    have flock || die "flock is missing: $packages util-linux"
    exec 9<"$root/etc"
    flock -n 9 || { warn "another install.sh is at work here; try again when it has ended"; exit 75; }
}

not_from_package() {
    [ ! -e "$root/usr/bin/sigma-agent" ] ||
        die "sigma-agent is installed here as a package (/usr/bin/sigma-agent): upgrade or remove it with the package manager"
}

# ---- users ----

group_id() {
    id=$(sed -n "s/^$1:[^:]*:\([0-9]*\):.*/\1/p" "$root/etc/group" | head -n 1)
    if [ -z "$id" ] && [ -z "$root" ] && have getent; then id=$(getent group "$1" | cut -d: -f3) || true; fi
    printf '%s' "$id"
}

has_user() {
    grep -q "^$1:" "$root/etc/passwd" || { [ -z "$root" ] && id "$1" >/dev/null 2>&1; }
}

# In the system below --root its own tools are used.
inside() {
    if [ -n "$root" ]; then change chroot "$root" "$@"; else change "$@"; fi
}

has_inside() {
    for dir in usr/sbin sbin usr/bin bin; do
        [ ! -x "$root/$dir/$1" ] || return 0
    done
    return 1
}

make_user() {
    [ -n "$user" ] || return 0
    home=${state:-/nonexistent}
    if has_user "$user" && [ -n "$(group_id "$user")" ]; then return; fi
    [ -n "$dry" ] || say "making the user $user"
    if has_inside useradd && has_inside groupadd; then
        [ -n "$(group_id "$user")" ] || inside groupadd --system "$user"
        has_user "$user" || inside useradd --system --gid "$user" --no-create-home --home-dir "$home" --shell /bin/false "$user"
    elif has_inside adduser && has_inside addgroup; then
        [ -n "$(group_id "$user")" ] || inside addgroup -S "$user"
        has_user "$user" || inside adduser -S -D -H -h "$home" -s /bin/false -G "$user" "$user"
    else
        die "no tool to make users (useradd or adduser) was found: make the user and group $user, then run this again"
    fi
}

remove_user() {
    if has_user "$user"; then
        if has_inside userdel; then inside userdel "$user"; else inside deluser "$user"; fi
    fi
    if [ -n "$(group_id "$user")" ]; then
        if has_inside groupdel; then inside groupdel "$user"; else inside delgroup "$user"; fi
    fi
}

# ---- the program, from file or URL ----

staged=/usr/local/bin/.sigma-agent.install-new
current=/usr/local/bin/sigma-agent
kept=/usr/local/lib/sigma-agent
previous=$kept/sigma-agent.previous
# Stands from the moment when a new program is put in place until it was seen healthy.
on_trial=$kept/on-trial

# Downloads URL into PATH: https only, also after a redirection, with limits of size and time.
download() {
    case $1 in
    https://*) ;;
    *) die "$1: only https:// is taken" ;;
    esac
    # In blocks of 512 bytes.
    if have curl; then
        (ulimit -f "$(($3 / 512 + 1))" && exec curl --disable --proto '=https' --proto-redir '=https' --tlsv1.2 --location --max-redirs 5 --fail \
            --silent --show-error --connect-timeout 20 --speed-time 60 --speed-limit 1000 --max-time 1800 --max-filesize "$3" \
            --output "$2" "$1") || die "could not download $1; nothing was changed"
    elif have wget && wget --version 2>/dev/null | grep -q '^GNU Wget'; then
        download_by_wget "$1" "$2" "$3"
    else
        die "curl is missing (BusyBox's wget does not check certificates): $packages curl, or bring the file and give --file"
    fi
}

# GNU wget cannot be told which redirections to follow, so it follows none and they are followed here.
download_by_wget() {
    from=$1 hops=0
    while :; do
        if (ulimit -f "$(($3 / 512 + 1))" && exec wget --no-config --max-redirect=0 --tries=1 --timeout=60 --server-response --quiet \
            --output-document="$2" "$from") 2>"$work/head"; then
            return
        fi
        from=$(sed -n 's/^ *[Ll]ocation: *//p' "$work/head" | tr -d '\r' | sed -n '$p')
        hops=$((hops + 1))
        [ "$hops" -le 5 ] || die "could not download $1: redirected again and again; nothing was changed"
        case $from in
        https://*) ;;
        '') die "could not download $1; nothing was changed" ;;
        *) die "$1: led to $from; only https:// is taken" ;;
        esac
    done
}

# Brings the program to `$got` and what vouches for it, and checks that.
fetch_program() {
    if [ -n "$file" ]; then
        readable "$file" || die "--file: $file cannot be read"
        from=$file
        if [ -n "$dry" ]; then got=$file; else
            (umask 077 && cp "$file" "$root$staged") || die "could not copy $file to /usr/local/bin"
            got=$root$staged
        fi
        [ ! -f "$file.sha256" ] || cp "$file.sha256" "$work/sha256"
        [ ! -f "$file.minisig" ] || cp "$file.minisig" "$work/minisig"
    else
        [ -n "$url" ] || die "this install.sh belongs to no release, so it does not know where the program is: give --file PATH or --url URL"
        if [ -n "$dry" ]; then
            say "would download $url and check it"
            return
        fi
        from=$url
        [ -n "$key" ] || [ -n "$skip_signature" ] || no_key
        say "downloading $url"
        (umask 077 && : >"$root$staged")
        download "$url" "$root$staged" "$MOST_BYTES"
        got=$root$staged
        [ -n "$sha256" ] || download "$url.sha256" "$work/sha256" 4096
        [ -n "$skip_signature" ] || download "$url.minisig" "$work/minisig" 4096
    fi
    check_sum
    check_signature
    check_machine
}

check_sum() {
    wanted=$sha256
    if [ -z "$wanted" ]; then
        [ -f "$work/sha256" ] ||
            die "no checksum for $from: give --sha256 HEX as the release page shows it, or put it into $from.sha256"
        wanted=$(sed -n '1s/^\([0-9A-Fa-f]\{64\}\)\([[:space:]].*\)\{0,1\}$/\1/p' "$work/sha256")
        [ -n "$wanted" ] || die "$from.sha256 does not begin with a SHA-256 checksum (64 hex digits)"
    fi
    wanted=$(printf %s "$wanted" | tr ABCDEF abcdef)
    if have sha256sum; then found=$(sha256sum <"$got")
    elif have openssl; then found=$(openssl dgst -sha256 -r <"$got")
    else die "sha256sum is missing: $packages coreutils"; fi
    found=${found%% *}
    [ "$found" = "$wanted" ] ||
        die "the checksum of $from is $found, not $wanted: it is damaged or not what it says; nothing was changed"
    say "checksum is right: $found"
}

check_signature() {
    if [ -n "$skip_signature" ]; then
        warn "the signature is not checked, as asked"
        return
    fi
    if [ -z "$key" ]; then
        [ -n "$file" ] || no_key
        return
    fi
    [ -f "$work/minisig" ] || die "no signature for $from: $from.minisig is missing; get it, or take what nobody signed with --insecure-skip-signature"
    if have minisign; then
        minisign -V -q -m "$got" -x "$work/minisig" -P "$key" >/dev/null 2>&1 || bad_signature
    else
        check_signature_by_openssl
    fi
    say "signature is right"
}

no_key() {
    die "no key to check the signature with: give --key KEY, or take what nobody signed with --insecure-skip-signature"
}

bad_signature() {
    die "the signature of $from is not that of the key $key: do not run it, and find out where it comes from; nothing was changed"
}

# What minisign does, with OpenSSL 3: Ed25519 over the BLAKE2b-512 of the file, and over that signature with the trusted comment.
check_signature_by_openssl() {
    case $(openssl version 2>/dev/null) in
    'OpenSSL 3.'* | 'OpenSSL 4.'*) ;;
    *) die "nothing here can check the signature: $packages minisign (or openssl, version 3)" ;;
    esac
    s=$work/signature
    mkdir "$s"
    # The key: two letters, eight bytes of name, 32 bytes of key; with DER's head before them.
    printf '%s\n' "$key" | openssl base64 -d -A >"$s/key" 2>/dev/null || true
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; tail -c 32 "$s/key"; } >"$s/key.der"
    sed -n 2p "$work/minisig" | openssl base64 -d -A >"$s/full" 2>/dev/null || true
    sed -n 4p "$work/minisig" | openssl base64 -d -A >"$s/global" 2>/dev/null || true
    [ "$(wc -c <"$s/key")" -eq 42 ] || die "--key: not a minisign public key: it is one word of 56 letters that begins with RW"
    [ "$(wc -c <"$s/full")" -eq 74 ] || bad_signature
    [ "$(wc -c <"$s/global")" -eq 64 ] || bad_signature
    # `ED`: signed over the hash. The older `Ed` signs the whole file and is not taken.
    [ "$(head -c 2 "$s/full")" = ED ] || die "$from.minisig is of an old kind: sign it with minisign 0.11 or newer"
    head -c 10 "$s/full" | tail -c 8 >"$s/name"
    head -c 10 "$s/key" | tail -c 8 | cmp -s - "$s/name" || bad_signature
    tail -c 64 "$s/full" >"$s/signature"
    openssl dgst -blake2b512 -binary <"$got" >"$s/hash"
    { cat "$s/signature"; sed -n '3s/^trusted comment: //p' "$work/minisig" | tr -d '\n'; } >"$s/commented"
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$s/key.der" -rawin -in "$s/hash" -sigfile "$s/signature" >/dev/null 2>&1 || bad_signature
    openssl pkeyutl -verify -pubin -keyform DER -inkey "$s/key.der" -rawin -in "$s/commented" -sigfile "$s/global" >/dev/null 2>&1 || bad_signature
}

# An ELF file for this processor.
check_machine() {
    head=$(od -A n -t u1 -N 20 "$got" | tr -s ' \n' ' ')
    case $head in
    ' 127 69 76 70 2 1 '*" $elf 0 "*) ;;
    ' 127 69 76 70 '*) die "$from is a program for another processor than this one ($machine)" ;;
    *) die "$from is not a program" ;;
    esac
}

# Whether the new program runs here and can be what is asked of it and of the roles that are installed already. Nothing is in place yet.
try_program() {
    [ -z "$dry" ] && [ -z "$root" ] || return 0
    chmod 0755 "$root$staged"
    for one in $roles; do
        version=$(env -i "PATH=$PATH" "AGENT_ROLE=$one" "$root$staged" --version 2>"$work/said") || {
            sed -n '1,3p' "$work/said" >&2
            die "the new program does not run here in the role $one; nothing was changed"
        }
    done
    version=${version##* }
}

# ---- configuration ----

# A text as YAML takes it whatever is in it.
quoted() {
    printf "'"
    printf %s "$1" | sed "s/'/''/g"
    printf "'"
}

# `KEY: VALUE` for each VARIABLE=KEY that the environment has.
yaml_lines() {
    for pair in "$@"; do
        eval "value=\${${pair%%=*}:-}"
        # shellcheck disable=SC2154 # eval sets it
        [ -z "$value" ] || printf '%s: %s\n' "${pair#*=}" "$(quoted "$value")"
    done
}

# No text that is more than a line can get into a file.
check_texts() {
    for name in SIGMA_API_URL AGENT_HOSTNAME AGENT_ALIAS AGENT_INTERVAL AGENT_METRICS_PORT AGENT_METRICS_ADDRESS AGENT_PORT_SCAN \
        AGENT_PORT_SCAN_RANGE LUNASENTRI_SERVER_URL LUNASENTRI_INTERVAL LUNASENTRI_RETRY_BACKOFF LUNASENTRI_MAX_RETRIES \
        LUNASENTRI_SYSTEM_INFO_PERIOD VM_ID MANAGER_URL METRICS_PORT AGENT_HOST_ID AGENT_REGISTRY_URL AGENT_PUBLIC_KEY \
        AGENT_VAULT_URL AGENT_VAULT_KEY AGENT_NATS_URL AGENT_HTTP_PORT AGENT_HTTP_ADDRESS; do
        eval "value=\${$name:-}"
        case $value in *[[:cntrl:]]*) mistaken "$name has a line end or another control character in it" ;; esac
    done
    case $secret in *[[:cntrl:]]*) mistaken "the key has a line end or another control character in it" ;; esac
}

# Takes the secret out of the environment, so that no program started from here has it, or out of the file that is named.
take_secret() {
    # A variable of that name in the environment would hand its new value to every program.
    unset secret from_variable value
    secret=''
    case $role in
    sigma) from_variable=${SIGMA_API_KEY:-} from_file=${SIGMA_API_KEY_FILE:-} secret_name=SIGMA_API_KEY ;;
    luna) from_variable=${LUNASENTRI_API_KEY:-} from_file=${LUNASENTRI_API_KEY_FILE:-} secret_name=LUNASENTRI_API_KEY ;;
    aegis) from_variable=${AGENT_VAULT_TOKEN:-} from_file=${AGENT_VAULT_TOKEN_FILE:-} secret_name=AGENT_VAULT_TOKEN ;;
    guest) from_variable='' from_file='' secret_name='' ;;
    esac
    unset SIGMA_API_KEY LUNASENTRI_API_KEY AGENT_VAULT_TOKEN
    secret=$from_variable
    if [ -n "$from_file" ]; then
        [ -z "$from_variable" ] || mistaken "$secret_name and ${secret_name}_FILE are both given: give one"
        readable "$from_file" || die "${secret_name}_FILE: $from_file cannot be read"
        secret=$(cat "$from_file")
    fi
}

# Before anything is changed: what the role cannot be without.
check_settings() {
    check_texts
    case $owners in
    '') ;;
    *) [ "$role" = sigma ] || mistaken "--owners is for the role sigma"
        [ "$init" = systemd ] || die "--owners is for systemd. With OpenRC put capabilities=\"^cap_sys_ptrace,^cap_dac_read_search\" into /etc/conf.d/sigma-agent" ;;
    esac
    case $owners in
    '' | none | full) ;;
    *) has_user "$owners" || die "--owners: there is no user '$owners' here" ;;
    esac
    [ ! -e "$root$config" ] || return 0
    case $role in
    sigma | luna)
        if [ -z "$secret" ] && [ -n "$live" ]; then
            die "no key: give $secret_name or ${secret_name}_FILE in the environment, or install with --no-start, write $config and start $service yourself; nothing was changed"
        fi ;;
    esac
}

write_config() {
    group=''
    if [ -n "$config_dir" ]; then
        group=$(group_id "$user")
        make_dir "$config_dir" 0750 "$group"
    fi
    if [ -e "$root$config" ]; then
        say "$config stays as it is"
        [ -z "$secret" ] || warn "$secret_name was not used: the configuration that exists stays"
        own_secrets
        return
    fi
    [ -n "$dry" ] || say "writing $config"
    written=$config
    [ -e "$root$secrets" ] || written="$config $secrets"
    # The configuration comes last: where it exists, all of it does.
    case $role in
    sigma)
        [ -z "$secret" ] || printf '%s\n' "$secret" | put_file /etc/sigma-agent/key 0640 "$group"
        { printf '# Options: docs/CONFIG.md. Taken over by a reload of the service.\n'
        yaml_lines SIGMA_API_URL=api_url
        [ -z "$secret" ] || printf 'api_key_file: /etc/sigma-agent/key\n'
        yaml_lines AGENT_HOSTNAME=hostname AGENT_ALIAS=alias AGENT_INTERVAL=interval AGENT_METRICS_PORT=metrics_port \
            AGENT_METRICS_ADDRESS=metrics_address AGENT_PORT_SCAN=port_scan AGENT_PORT_SCAN_RANGE=port_scan_range
        } | put_file "$config" 0640 "$group" ;;
    luna)
        LUNASENTRI_SERVER_URL=${LUNASENTRI_SERVER_URL:-https://lunasentri-api.serverplus.org}
        LUNASENTRI_INTERVAL=${LUNASENTRI_INTERVAL:-10s} LUNASENTRI_RETRY_BACKOFF=${LUNASENTRI_RETRY_BACKOFF:-5s}
        LUNASENTRI_MAX_RETRIES=${LUNASENTRI_MAX_RETRIES:-3} LUNASENTRI_SYSTEM_INFO_PERIOD=${LUNASENTRI_SYSTEM_INFO_PERIOD:-1h}
        { printf '# Options: docs/CONFIG.md. Taken over by a reload of the service.\n'
        yaml_lines LUNASENTRI_SERVER_URL=server_url
        if [ -n "$secret" ]; then printf 'api_key: %s\n' "$(quoted "$secret")"; else printf '#api_key:\n'; fi
        yaml_lines LUNASENTRI_INTERVAL=interval LUNASENTRI_RETRY_BACKOFF=retry_backoff LUNASENTRI_MAX_RETRIES=max_retries \
            LUNASENTRI_SYSTEM_INFO_PERIOD=system_info_period
        } | put_file "$config" 0640 "$group" ;;
    guest)
        { [ -z "${VM_ID:-}" ] || printf 'VM_ID=%s\n' "$VM_ID"
        [ -z "${MANAGER_URL:-}" ] || printf 'MANAGER_URL=%s\n' "$MANAGER_URL"
        [ -z "${METRICS_PORT:-}" ] || printf 'METRICS_PORT=%s\n' "$METRICS_PORT"
        } | put_file "$config" 0644 ;;
    aegis)
        AGENT_HOST_ID=${AGENT_HOST_ID:-$(uname -n)}
        [ -z "$secret" ] || printf '%s\n' "$secret" | put_file /etc/aegisflux/vault-token 0640 "$group"
        { printf '# Options: docs/CONFIG.md, docs/PROGRAMS.md. Without public_key or vault_key nothing is trusted, and nothing loaded.\n'
        yaml_lines AGENT_HOST_ID=host_id AGENT_REGISTRY_URL=registry_url AGENT_PUBLIC_KEY=public_key AGENT_VAULT_URL=vault_url \
            AGENT_VAULT_KEY=vault_key
        [ -z "$secret" ] || printf 'vault_token_file: /etc/aegisflux/vault-token\n'
        yaml_lines AGENT_NATS_URL=nats_url AGENT_HTTP_PORT=metrics_port AGENT_HTTP_ADDRESS=metrics_address
        } | put_file "$config" 0640 "$group" ;;
    esac
}

# What the new program would refuse to start with is found while the one before it still runs.
check_configs() {
    [ -n "$live" ] && [ -z "$dry" ] || return 0
    for one in $roles; do
        [ "$one" = "$role" ] || was "$one" well || was "$one" up || continue
        if refuses_config "$staged"; then
            sed 's/^broken  *configuration  *//' "$work/mistakes" >&2
            # A configuration of this run is not to stay in the way of the next, with its mistakes.
            for wrong in $written; do remove "$wrong"; done
            [ -z "$written" ] || die "the configuration would be refused: nothing was started; give other values and run this again"
            about_role "$one"
            die "the new program would refuse $config; nothing was changed. Mend it, then run this again ($program check shows every option)"
        fi
    done
}

# Mistakes in a file are known at once; what is not known in three seconds is asked of servers, which do not matter here.
refuses_config() {
    in_time 3 env -i "PATH=$PATH" "AGENT_ROLE=$one" "$1" check >"$work/said" 2>/dev/null || true
    grep '^broken  *configuration ' "$work/said" >"$work/mistakes"
}

# A file with secrets that somebody else wrote, such as another installer: the agent must be able to read it, and others must not.
own_secrets() {
    [ -n "$config_dir" ] && [ -z "$dry" ] && [ -n "$group" ] || return 0
    for one in "$config" "$secrets"; do
        if [ ! -f "$root$one" ] || [ -L "$root$one" ]; then continue; fi
        # shellcheck disable=SC2012 # no stat in POSIX; the name is ours
        case $(ls -ln "$root$one" | tr -s ' ') in
        "-rw-r----- 1 0 $group "* | "-rw-r-----. 1 0 $group "*) continue ;;
        # A key for root alone is what systemd hands over as a credential; a configuration is never.
        -rw-------*) [ "$one" = "$config" ] || continue ;;
        esac
        chgrp "$group" "$root$one"
        chmod 0640 "$root$one"
        say "$one is for root and the group $user alone now (0640)"
    done
}

# ---- services ----

service_file() {
    case $init in
    systemd) printf %s "$unit" ;;
    openrc) printf %s "$script" ;;
    none) ;;
    esac
}

write_service() {
    place=$(service_file)
    [ -n "$place" ] || return 0
    make_dir "${place%/*}" 0755
    mode=0644
    [ "$init" = systemd ] || mode=0755
    file_text "$init/$service" >"$work/service"
    if ! cmp -s "$work/service" "$root$place"; then
        # What stood there goes back with the program, if it comes to that.
        if [ -e "$root$place" ] && [ -z "$dry" ]; then
            make_dir "$kept" 0755
            cp -p "$root$place" "$root$kept/${place##*/}.previous"
            replaced="$replaced $place"
            [ ! -e "$root$on_trial" ] || printf 'replaced %s\n' "$place" >>"$root$on_trial"
        fi
        put_file "$place" "$mode" <"$work/service"
        touched="$touched $one"
    fi
    [ "$one" != sigma ] || write_owners
    [ "$one" = "$role" ] || return 0
    case $init in
    systemd) make_dir /etc/systemd/system/multi-user.target.wants 0755
        make_link "$unit" "/etc/systemd/system/multi-user.target.wants/$service.service" ;;
    openrc) make_dir /etc/runlevels/default 0755
        make_link "$script" "/etc/runlevels/default/$service" ;;
    esac
}

# The role that is asked for, and with it the files of the others, which have the same program. What somebody switched off stays off.
write_services() {
    touched=''
    for one in $roles; do
        about_role "$one"
        if [ "$one" = "$role" ] || { [ "$init" != none ] && [ -e "$root$(service_file)" ]; }; then write_service; fi
    done
    [ "$running" != systemd ] || [ "$init" != systemd ] || change systemctl daemon-reload
    about_role "$role"
}

is_touched() { case " $touched " in *" $1 "*) ;; *) return 1 ;; esac; }

owners_dropin=/etc/systemd/system/sigma-agent.service.d/50-owners.conf

# How far the port scan may look for the owners of ports.
write_owners() {
    [ -n "$owners" ] || return 0
    touched="$touched $one"
    case $owners in
    none) remove "$owners_dropin"; [ -n "$dry" ] || rmdir "$root${owners_dropin%/*}" 2>/dev/null || true ;;
    full) make_dir "${owners_dropin%/*}" 0755
        file_text systemd/owners-full | put_file "$owners_dropin" 0644 ;;
    *) if [ -z "$root" ]; then of=$(id -gn "$owners"); else of=$owners; fi
        make_dir "${owners_dropin%/*}" 0755
        file_text systemd/owners-user | sed "/^#/!{s/^User=SERVICES/User=$owners/;s/^Group=SERVICES/Group=$of/;}" | put_file "$owners_dropin" 0644 ;;
    esac
}

# What a service manager starts must not hold the lock: 9 is closed for it.
restart_service() {
    [ -n "$dry" ] || say "starting $service"
    case $init in
    systemd) change systemctl reset-failed "$service.service" 2>/dev/null || true
        change systemctl --no-block restart "$service.service" 9<&- ;;
    openrc) change rc-service "$service" restart </dev/null >"$work/said" 2>&1 9<&- || { sed -n '1,10p' "$work/said" >&2; true; } ;;
    esac
}

stop_service() {
    case $init in
    systemd) change systemctl disable --now "$service.service" 9<&- >/dev/null 2>&1 || true ;;
    openrc) change rc-service "$service" stop >/dev/null 2>&1 9<&- || true ;;
    esac
}

is_active() {
    case $init in
    systemd) [ "$(systemctl is-active "$service.service" 2>/dev/null)" = active ] ;;
    openrc) rc-service "$service" status >/dev/null 2>&1 9<&- ;;
    esac
}

# The process of the agent itself, not of who watches it.
service_process() {
    case $init in
    systemd) systemctl show --property=MainPID "$service.service" | cut -d= -f2 ;;
    openrc)
        watcher=$(cat "/run/$service.pid" 2>/dev/null) || return 0
        case $(cat "/proc/$watcher/comm" 2>/dev/null) in
        supervise-daemo*) awk -v of="$watcher" '$1 == "PPid:" && $2 == of { split(FILENAME, part, "/"); print part[3] }' \
            /proc/[0-9]*/status 2>/dev/null | head -n 1 ;;
        '') ;;
        *) printf '%s\n' "$watcher" ;;
        esac ;;
    esac
}

# A command that may take so many seconds.
in_time() {
    if have timeout; then timeout "$@"; else shift && "$@"; fi
}

# What the agent says of itself, where it has that command; nothing of this environment speaks along.
says_healthy() {
    binary=$root/usr/local/bin/$program
    in_time 10 env -i "PATH=$PATH" "$binary" health --help >/dev/null 2>&1 9<&- || return 0
    in_time 10 env -i "PATH=$PATH" "$binary" health >"$work/health" 2>&1 9<&-
}

# Waits until the service is up, the same process for three seconds, and says that it is well: ROLE [up: what it says does not count].
becomes_healthy() {
    about_role "$1"
    until=$(($(date +%s) + health_timeout)) before='' seen=0
    : >"$work/health"
    while [ "$(date +%s)" -lt "$until" ]; do
        now=''
        if is_active; then now=$(service_process); fi
        if [ -n "$now" ] && [ "$now" != 0 ] && [ "$now" = "$before" ]; then seen=$((seen + 1)); else seen=0; fi
        before=$now
        if [ "$seen" -ge 3 ] && { [ "${2:-}" = up ] || says_healthy; }; then return 0; fi
        sleep 1
    done
    return 1
}

tell_why() {
    [ ! -s "$work/health" ] || sed -n '1,3p' "$work/health" >&2
    case $init in
    systemd) journalctl --unit "$service.service" --lines 5 --no-pager --output cat >&2 2>/dev/null || true ;;
    openrc) for one in "$logs"/agent.err "$logs"/agent.log; do [ ! -s "$one" ] || tail -n 3 "$one" >&2; done ;;
    esac
}

# ---- install and upgrade ----

install_role() {
    about_role "$role"
    not_from_package
    no_stranger "/usr/local/bin/$program"
    others=$(installed_roles)
    roles=$role
    for one in $others; do [ "$one" = "$role" ] || roles="$roles $one"; done
    about_role "$role"
    check_settings
    [ -d "$root/usr/local/bin" ] || make_dir /usr/local/bin 0755
    fetch_program
    try_program
    note_health_before

    changed=''
    if [ "$init" = systemd ] && [ "$role" = guest ]; then user=''; fi
    make_user
    write_config
    check_configs
    switch_program
    [ "$program" = sigma-agent ] || make_link sigma-agent "/usr/local/bin/$program"
    write_services
    start_and_judge
}

# A name that another program has is not taken away from it.
no_stranger() {
    if [ -L "$root$1" ]; then
        [ "$(readlink "$root$1")" = sigma-agent ] || die "$1 leads to another program; move it away first: mv $1 $1.old"
    elif [ -e "$root$1" ] && [ "$1" != "$current" ]; then
        die "$1 is another program; stop its service and move it away first: mv $1 $1.old (its configuration can stay)"
    fi
}

# Which of the services were well before: only those have to be well again.
note_health_before() {
    well=''
    [ -n "$live" ] && [ -z "$dry" ] || return 0
    for one in $roles; do
        about_role "$one"
        if is_active; then
            : >"$work/health"
            if says_healthy; then well="$well $one:well"; else well="$well $one:up"; fi
        fi
    done
    # A run that was cut off knew better than what it left behind tells.
    if [ -e "$root$on_trial" ]; then
        well="$(sed -n 's/^was//p' "$root$on_trial") $well"
        replaced=$(sed -n 's/^replaced / /p' "$root$on_trial" | tr -d '\n')
    fi
    about_role "$role"
}

was() { case " $well " in *" $1:$2 "*) ;; *) return 1 ;; esac; }

# The program before this one stays, and is always the last that was seen healthy.
switch_program() {
    new_program=''
    if [ -n "$dry" ]; then
        [ -n "$url" ] || ! cmp -s "$file" "$root$current" || { say "the program is in place already"; return; }
        say "would put the new program to $current"
        return
    fi
    if cmp -s "$root$staged" "$root$current"; then
        rm -f "$root$staged"
        say "the program is in place already${version:+ ($version)}"
        # An earlier run was interrupted before it had seen it healthy.
        if [ -e "$root$on_trial" ]; then changed=yes switched=yes new_program=yes; fi
        return
    fi
    chmod 0755 "$root$staged"
    chown 0:0 "$root$staged"
    make_dir "$kept" 0755
    if [ -e "$root$current" ] && { [ ! -e "$root$on_trial" ] || [ ! -e "$root$previous" ]; }; then
        ln -f "$root$current" "$root$previous.new" 2>/dev/null || cp -p "$root$current" "$root$previous.new"
        mv -f "$root$previous.new" "$root$previous"
    fi
    [ -z "$live" ] || {
        printf 'was%s\n' "$well"
        for one in $replaced; do printf 'replaced %s\n' "$one"; done
    } >"$root$on_trial"
    say "putting version ${version:-of $from} in place"
    switched=yes new_program=yes changed=yes
    mv -f "$root$staged" "$root$current"
    sync 2>/dev/null || true
    ! have restorecon || restorecon "$root$current" 2>/dev/null || true
}

start_and_judge() {
    if [ -z "$live" ]; then
        if [ -n "$dry" ]; then say "would be installed as $service, and not started"; else say "installed as $service; nothing was started"; fi
        return
    fi
    about_role "$role"
    if [ -n "$changed" ] || is_touched "$role" || [ -n "$dry" ] || ! is_active; then restart_service; else say "$service runs already"; fi
    for one in $roles; do
        if [ "$one" = "$role" ] || { [ -z "$new_program" ] && ! is_touched "$one"; }; then continue; fi
        if was "$one" well || was "$one" up; then
            about_role "$one"
            restart_service
        fi
    done
    [ -z "$dry" ] || return 0
    judge
}

judge() {
    bad='' worse=''
    for one in $roles; do
        level=well
        if ! was "$one" well; then
            # What was not well before need not be after, and what did not run is not started, but for the role that is asked for.
            if was "$one" up; then level=up; elif [ "$one" != "$role" ]; then continue; fi
        fi
        if ! becomes_healthy "$one" "$level"; then
            bad=$one
            # What ran before decides about the program; what is new may lack something else.
            if was "$one" well || was "$one" up; then worse=$one; break; fi
            continue
        fi
        if [ "$level" = well ] || says_healthy; then say "$service runs and is healthy"; else warn "$service runs, and is not healthy, as before"; fi
    done
    if [ -z "$bad" ]; then
        rm -f "$root$on_trial"
        switched=''
        about_role "$role"
        say "done: /usr/local/bin/$program check tells whether all of it would work, docs/INSTALL.md what else can be set"
        return
    fi
    about_role "$bad"
    warn "$service did not become healthy in $health_timeout s; the last it said:"
    tell_why
    if [ -n "$switched" ] && [ -e "$root$previous" ] && [ -n "$worse" ]; then
        go_back
        exit 3
    fi
    switched=''
    die "$service is installed and will go on trying. Mend what it says ($program check helps; configuration: $config) and run this again, or remove it with --uninstall"
}

# Puts back what was there before this run, and starts it.
go_back() {
    switched=''
    warn "going back to the version before it"
    [ "$health_timeout" -ge 30 ] || health_timeout=30
    mv -f "$root$previous" "$root$current"
    for one in $replaced; do
        [ ! -e "$root$kept/${one##*/}.previous" ] || mv -f "$root$kept/${one##*/}.previous" "$root$one"
    done
    [ "$init" != systemd ] || systemctl daemon-reload
    rm -f "$root$on_trial"
    again=''
    for one in $roles; do
        if was "$one" well || was "$one" up; then about_role "$one"; restart_service; again="$again $one"; fi
    done
    for one in $again; do
        if becomes_healthy "$one"; then warn "$service runs again as before"; else warn "$service is not healthy with the version before either"; fi
    done
}

# Two files change places; at every moment there is a whole one at the first.
trade() {
    change ln -f "$root$1" "$root$2.new"
    change mv -f "$root$2" "$root$1"
    change mv -f "$root$2.new" "$root$2"
}

# By hand: the two versions change places, so a second call goes forward again.
roll_back() {
    [ -e "$root$previous" ] || die "there is no version before this one ($previous); nothing was changed"
    roles=$(installed_roles)
    [ -n "$dry" ] || say "going back to the version before"
    trade "$current" "$previous"
    for one in $roles; do
        about_role "$one"
        place=$(service_file)
        saved=$kept/${place##*/}.previous
        if [ -n "$place" ] && [ -e "$root$saved" ]; then trade "$place" "$saved"; fi
    done
    [ -n "$dry" ] || rm -f "$root$on_trial"
    [ -n "$live" ] || return 0
    [ "$init" != systemd ] || change systemctl daemon-reload
    again=''
    for one in $roles; do
        about_role "$one"
        if is_active; then restart_service; again="$again $one"; fi
    done
    [ -z "$dry" ] || return 0
    failed=''
    for one in $again; do
        if becomes_healthy "$one"; then say "$service runs and is healthy"; else warn "$service is not healthy:"; tell_why; failed=yes; fi
    done
    [ -z "$failed" ] || exit 1
}

# ---- uninstall ----

uninstall_role() {
    about_role "$role"
    not_from_package
    if ! is_installed "$role" && [ -z "$purge" ]; then
        say "the role $role is not installed here"
    fi
    about_role "$role"
    if [ "$init" = "$running" ] && (is_installed "$role"); then stop_service; fi
    remove "/etc/systemd/system/multi-user.target.wants/$service.service" "$unit" "/etc/runlevels/default/$service" "$script"
    if [ "$role" = sigma ]; then
        remove "$owners_dropin"
        [ -n "$dry" ] || rmdir "$root${owners_dropin%/*}" 2>/dev/null || true
    fi
    [ "$running" != systemd ] || change systemctl daemon-reload
    remove "$kept/$service.service.previous" "$kept/$service.previous"
    if [ "$(readlink "$root/usr/local/bin/$program" 2>/dev/null)" = sigma-agent ]; then remove "/usr/local/bin/$program"; fi
    # Programs that outlive their agent would outlive it for ever.
    if [ "$role" = aegis ] && [ -z "$root" ]; then remove /sys/fs/bpf/aegisflux-agent; fi
    left=$(installed_roles)
    about_role "$role"
    if [ -n "$dry" ]; then left=$(printf %s "$left" | sed "s/$role //"); fi
    if [ -z "$left" ]; then remove "$current" "$staged" "$kept"; else say "$current stays for: ${left% }"; fi
    if [ -n "$purge" ]; then purge_role; else name_what_stays; fi
    [ -n "$dry" ] || say "the role $role is removed"
}

purge_role() {
    for one in "${config_dir:-$config}" "$state" "$cache" "$logs" "$log_link" "/etc/conf.d/$service" "${unit}.d"; do
        [ -z "$one" ] || remove "$one"
    done
    remove_user
}

name_what_stays() {
    for one in "${config_dir:-$config}" "$state" "$cache" "$logs" "$log_link" "/etc/conf.d/$service" "${unit}.d"; do
        if [ -n "$one" ] && { [ -e "$root$one" ] || [ -L "$root$one" ]; }; then say "stays: $one"; fi
    done
    if has_user "$user"; then say "stays: the user $user"; fi
    say "--purge removes these too"
}

# ---- the way through ----

# shellcheck disable=SC2317 # called by trap
clean_up() {
    code=$?
    trap - EXIT
    [ -n "${dry:-}" ] || rm -f "${root:-}$staged"
    [ -z "${work:-}" ] || rm -rf "$work"
    exit "$code"
}

# shellcheck disable=SC2317 # called by trap
interrupted() {
    trap '' HUP INT TERM
    warn "interrupted"
    if [ -n "${switched:-}" ] && [ -e "$root$previous" ] && [ -n "$well" ]; then go_back
    elif [ -n "${switched:-}" ]; then warn "half done: run this again, or --uninstall"; fi
    exit "$1"
}

read_arguments() {
    role=${ROLE:-sigma} action=install dry='' file='' url='' sha256='' key=$RELEASE_KEY skip_signature='' init='' no_start='' root='' purge=''
    owners='' health_timeout=60 switched='' replaced='' version='' well='' written='' from='' roles=''
    while [ $# -gt 0 ]; do
        given=''
        case $1 in
        --role | --file | --url | --sha256 | --key | --init | --root | --owners | --health-timeout)
            [ $# -ge 2 ] || mistaken "$1 needs a value"
            given=$2 ;;
        --role=* | --file=* | --url=* | --sha256=* | --key=* | --init=* | --root=* | --owners=* | --health-timeout=*)
            given=${1#*=} option=${1%%=*}
            shift
            set -- "$option" "$given" "$@" ;;
        esac
        case $1 in
        --role) role=$given; shift ;;
        --file) file=$given; shift ;;
        --url) url=$given; shift ;;
        --sha256) sha256=$given; shift ;;
        --key) key=$given; shift ;;
        --init) init=$given; shift ;;
        --root) root=${given%/}; shift ;;
        --owners) owners=$given; shift ;;
        --health-timeout) health_timeout=$given; shift ;;
        --insecure-skip-signature) skip_signature=yes ;;
        --no-start) no_start=yes ;;
        --dry-run) dry=yes ;;
        --rollback) action=rollback ;;
        --uninstall) action=uninstall ;;
        --purge) action=uninstall purge=yes ;;
        --help | -h) usage; exit 0 ;;
        *) mistaken "unknown: $1" ;;
        esac
        shift
    done
    about_role "$role"
    [ -z "$file" ] || [ -z "$url" ] || mistaken "--file and --url are both given: give one"
    case $health_timeout in '' | *[!0-9]* | ?????*) mistaken "--health-timeout: '$health_timeout' is not a number of seconds" ;; esac
    case $sha256 in *[!0-9A-Fa-f]*) mistaken "--sha256: not a checksum of 64 hex digits" ;; esac
    [ -z "$sha256" ] || [ "${#sha256}" -eq 64 ] || mistaken "--sha256: not a checksum of 64 hex digits"
    [ -z "$root" ] || [ -d "$root/etc" ] || mistaken "--root: $root is no system: it has no etc"
    case $owners in *[!A-Za-z0-9._-]*) mistaken "--owners: '$owners' is not none, full or the name of a user" ;; esac
}

main() {
    # The script itself may come in on standard input: nothing that is started here reads from it.
    exec </dev/null
    umask 022
    export LC_ALL=C
    PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    read_arguments "$@"
    take_secret
    need_root
    look_at_host
    [ -n "$url" ] || [ -n "$file" ] || [ -z "$RELEASE_URL" ] || url=$RELEASE_URL/$asset
    take_turn
    work=''
    trap clean_up EXIT
    trap 'interrupted 129' HUP
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM
    work=$(mktemp -d)
    case $action in
    install) install_role ;;
    rollback) roll_back ;;
    uninstall) uninstall_role ;;
    esac
}

# ---- files: what stands in deploy/systemd and deploy/openrc, put in by `UPDATE_GOLDEN=1 cargo test --test install carries` ----

file_text() {
    case $1 in
# files: begin
systemd/aegisflux-agent)
cat <<'END-OF-FILE'
# /etc/systemd/system/aegisflux-agent.service
#
# deploy/install.sh and the packages set up all of this. By hand, once, as root:
#   ln -s sigma-agent /usr/local/bin/local-agent
#   useradd --system --user-group --home-dir /var/lib/aegisflux-agent --shell /bin/false aegisflux-agent
#   install -D -m 0640 -g aegisflux-agent /dev/null /etc/aegisflux/aegisflux-agent.env     (the variables, no secrets)
[Unit]
Documentation=man:sigma-agent(8)
Description=Runs the signed eBPF programs that a registry assigns to this host
Wants=network-online.target
After=network-online.target sys-fs-bpf.mount
StartLimitIntervalSec=60
StartLimitBurst=3

[Service]
Type=notify
ExecStart=/usr/local/bin/local-agent
# Not /bin/kill, which small systems do not have.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
# What has run its time is detached also where the agent cannot do it any more.
ExecStopPost=-/usr/local/bin/local-agent programs reap
EnvironmentFile=-/etc/aegisflux/aegisflux-agent.env
Environment=AGENT_CACHE_DIR=/var/cache/aegisflux-agent
Restart=always
RestartSec=10
WatchdogSec=60
# Programs are unloaded at the end.
TimeoutStopSec=20

# Vault's token from a file that only root can read, instead of vault_token_file: systemd hands it over at each start.
#LoadCredential=aegis_vault_token:/etc/aegisflux/vault-token

# The same user each time: pins of programs that outlive the agent are that user's.
User=aegisflux-agent
StateDirectory=aegisflux-agent
StateDirectoryMode=0700
CacheDirectory=aegisflux-agent
CacheDirectoryMode=0700

# What needs more rights than the agent has, done once by root: a folder of its own in the bpffs, which systemd itself mounts (a mount from
# here would be seen by nobody), and the counting of run times (about 70 ns for each run of a program).
ExecStartPre=+/usr/bin/install -d -m 0700 -o aegisflux-agent -g aegisflux-agent /sys/fs/bpf/aegisflux-agent
ExecStartPre=-+/bin/sh -c 'echo 1 > /proc/sys/kernel/bpf_stats_enabled'

# To load programs; to attach them to the network; to trace and to do arithmetic on pointers. They count in the host's user namespace
# alone, so there is no PrivateUsers.
AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON
CapabilityBoundingSet=CAP_BPF CAP_NET_ADMIN CAP_PERFMON
NoNewPrivileges=yes
LimitNOFILE=65536
# Kernels before 5.11 count maps and programs as locked memory.
LimitMEMLOCK=infinity
LimitCORE=0
TasksMax=128
MemoryMax=512M

ProtectSystem=strict
# Programs that outlive the agent are pinned there. The folder is made above, so it may be missing when systemd looks first.
ReadWritePaths=-/sys/fs/bpf/aegisflux-agent
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
# INET and INET6 to speak, UNIX to tell systemd, NETLINK to know interfaces.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
# The named ones are what the agent locks itself in with after its start; then what it is there for, which the line between took away.
SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=~@privileged @resources
SystemCallFilter=bpf perf_event_open capset
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
END-OF-FILE
;;
systemd/guest-agent)
cat <<'END-OF-FILE'
# /etc/systemd/system/guest-agent.service
#
# By hand, once, as root:
#   ln -s sigma-agent /usr/local/bin/guest-agent          (or the small binary of this role alone under that name)
[Unit]
Description=Tells the manager of a Firecracker host this guest's processor and memory
Documentation=man:sigma-agent(8)
# Not network-online.target: where networkd or NetworkManager are missing nothing would reach it, and the agent listens without a network too.
After=network.target

[Service]
Type=notify
ExecStart=/usr/local/bin/guest-agent
# Not /bin/kill, which small systems do not have.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStopSec=5

# Nothing of it stays on disk and its configuration has no secrets: a user for the time it runs is enough, and an image needs none made.
DynamicUser=yes
LimitCORE=0
TasksMax=64
MemoryMax=32M

CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
# Not `invisible`: processes are counted.
ProtectProc=default
# INET and INET6 to speak, UNIX to tell systemd.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
# The named ones are what the agent locks itself in with after its start.
SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=~@privileged @resources
# What is asked for and not allowed is refused, not punished: the agent goes on without it.
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
END-OF-FILE
;;
systemd/lunasentri-agent)
cat <<'END-OF-FILE'
# /etc/systemd/system/lunasentri-agent.service
#
# deploy/install.sh and the packages set up all of this. By hand, once, as root:
#   ln -s sigma-agent /usr/local/bin/lunasentri-agent
#   useradd -r -s /bin/false -d /var/lib/lunasentri lunasentri
#   install -d -m 0750 -g lunasentri /etc/lunasentri
#   (umask 027; cat >/etc/lunasentri/agent.yaml; chgrp lunasentri /etc/lunasentri/agent.yaml)     it holds the key
[Unit]
Description=LunaSentri agent: pushes samples of this host
Documentation=man:sigma-agent(8)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
# The agent itself begins the file anew when it is full; logrotate is not wanted here.
ExecStart=/usr/local/bin/lunasentri-agent --log-file /var/log/lunasentri/agent.log
# Not /bin/kill, which small systems do not have.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStopSec=5

# A user of its own, not DynamicUser: the configuration with the key is root's and readable for this group, the backlog and the log stay
# the same user's, and a changed key is taken over without a restart. Where nobody but root may read the key,
# dropins/luna-credential.conf hands it over at each start instead.
User=lunasentri
Group=lunasentri
# Samples that could not be sent wait in /var/lib/lunasentri.
StateDirectory=lunasentri
StateDirectoryMode=0700
LogsDirectory=lunasentri
LogsDirectoryMode=0750
LimitCORE=0
TasksMax=64

CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
# INET and INET6 to speak, UNIX to tell systemd.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
# The named ones are what the agent locks itself in with after its start.
SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=~@privileged @resources
# What is asked for and not allowed is refused, not punished: the agent goes on without it.
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
END-OF-FILE
;;
systemd/sigma-agent)
cat <<'END-OF-FILE'
# /etc/systemd/system/sigma-agent.service
#
# deploy/install.sh and the packages set up all of this. By hand, once, as root:
#   useradd --system --user-group --home-dir /var/lib/sigma-agent --shell /bin/false sigma-agent
#   install -d -m 0750 -g sigma-agent /etc/sigma-agent
#   (umask 027; cat >/etc/sigma-agent/key; chgrp sigma-agent /etc/sigma-agent/key)        the API key, and Ctrl-D
[Unit]
Description=sigma-agent: registers this host, sends heartbeats, serves metrics
Documentation=man:sigma-agent(8)
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart=/usr/local/bin/sigma-agent
# Not /bin/kill, which small systems do not have.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
Restart=always
RestartSec=5
WatchdogSec=60
TimeoutStopSec=5

# A user of its own, not DynamicUser: the key file is root's and readable for this group, so a new key in it is taken over without a
# restart. Where nobody but root may read it, dropins/sigma-credential.conf hands it over at each start instead.
User=sigma-agent
Group=sigma-agent
# With --push: samples that could not be sent wait in /var/lib/sigma-agent.
StateDirectory=sigma-agent
StateDirectoryMode=0700
LimitCORE=0
TasksMax=64

# No capabilities: the port scan then knows the state of every port and the owners of none but its own sockets. What finds the owners
# is in dropins/: sigma-owners-user.conf and sigma-owners-full.conf.
CapabilityBoundingSet=
AmbientCapabilities=
PrivateUsers=yes
NoNewPrivileges=yes
ProtectSystem=strict
# Not `yes`: /home may be a disk of its own, whose figures are wanted.
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
# Not `invisible`: the mounts of process 1 are the host's, and processes are counted.
ProtectProc=default
# INET and INET6 to speak, UNIX to tell systemd, NETLINK to list sockets.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
# The named ones are what the agent locks itself in with after its start.
SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=~@privileged @resources
# What is asked for and not allowed is refused, not punished: the agent goes on without it.
SystemCallErrorNumber=EPERM
UMask=0077

[Install]
WantedBy=multi-user.target
END-OF-FILE
;;
systemd/owners-full)
cat <<'END-OF-FILE'
# Level `full`: the port scan names the owners of all ports, whoever they run as.
# /etc/systemd/system/sigma-agent.service.d/50-owners.conf, then `systemctl daemon-reload && systemctl restart sigma-agent`.
#
# A socket's owner is found in /proc/PID/fd: to open that folder of another user takes CAP_DAC_READ_SEARCH, to read a link in it
# CAP_SYS_PTRACE. With both an agent that was taken over could read every file and the memory of every process: that is the price.
[Service]
CapabilityBoundingSet=
CapabilityBoundingSet=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
AmbientCapabilities=
AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH
# In a user namespace of its own the capabilities would count for nothing outside.
PrivateUsers=no
SystemCallFilter=~kcmp
# The agent takes from itself what of them could be handed on.
SystemCallFilter=capset
END-OF-FILE
;;
systemd/owners-user)
cat <<'END-OF-FILE'
# Level `some`: the port scan names the owners of the ports of one user's processes, such as the services of a fleet, without any capability.
# /etc/systemd/system/sigma-agent.service.d/50-owners.conf with that user and group in place of SERVICES, then
# `systemctl daemon-reload && systemctl restart sigma-agent`.
#
# The kernel shows the open files of a process to those of the same user and group, if it has no capabilities itself.
[Service]
User=SERVICES
Group=SERVICES
# The key file is readable for this group.
SupplementaryGroups=sigma-agent
# In a user namespace of its own the agent would not be the same user.
PrivateUsers=no
END-OF-FILE
;;
openrc/aegisflux-agent)
cat <<'END-OF-FILE'
#!/sbin/openrc-run
# /etc/init.d/aegisflux-agent: chmod +x, then `rc-update add aegisflux-agent default` and `rc-service aegisflux-agent start`.
# Options besides /etc/aegisflux/agent.yaml go into /etc/conf.d/aegisflux-agent, as command_args="…".
#
# Once, as root, where no installer did it:
#   ln -s sigma-agent /usr/local/bin/local-agent
#   addgroup -S aegisflux-agent && adduser -S -D -H -h /var/lib/aegisflux-agent -s /bin/false -G aegisflux-agent aegisflux-agent
#   install -d -m 0750 -g aegisflux-agent /etc/aegisflux

name="aegisflux-agent"
description="Runs the signed eBPF programs that a registry assigns to this host"
supervisor="supervise-daemon"
command="/usr/local/bin/local-agent"
# The log file is begun anew when it has 10 MiB; what else comes out is what a crash would say.
command_args="--cache-dir /var/cache/aegisflux-agent --log-output stdout --log-file /var/log/aegisflux-agent/agent.log ${command_args:-}"
pidfile="/run/${RC_SVCNAME}.pid"
error_log="/var/log/aegisflux-agent/agent.err"
umask=0077
respawn_delay=10
# A program that ends the agent again and again is not to be loaded for ever.
respawn_max=3
respawn_period=60
retry="TERM/20/KILL/5"
rc_ulimit="-n 65536"
extra_started_commands="reload"

# As its own user where this OpenRC can leave it what it needs: to load programs, to attach them to the network, to trace. Elsewhere as
# root, which an OpenRC without capabilities leaves no way around.
if supervise-daemon "${RC_SVCNAME}" --help 2>&1 | grep -q -e '--capabilities'; then
    aegisflux_user="aegisflux-agent:aegisflux-agent"
    command_user="${aegisflux_user}"
    capabilities="^cap_bpf,^cap_net_admin,^cap_perfmon"
    supervise_daemon_args="--no-new-privs ${supervise_daemon_args:-}"
else
    aegisflux_user="root:root"
fi

depend() {
    # Not `need`: it goes on without a network, and is not to be stopped with it.
    use net dns
    after firewall
}

start_pre() {
    checkpath --directory --owner "${aegisflux_user}" --mode 0750 /var/log/aegisflux-agent
    checkpath --directory --owner "${aegisflux_user}" --mode 0700 /var/lib/aegisflux-agent
    checkpath --directory --owner "${aegisflux_user}" --mode 0700 /var/cache/aegisflux-agent
    mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
    checkpath --directory --owner "${aegisflux_user}" --mode 0700 /sys/fs/bpf/aegisflux-agent
    # The counting of run times: about 70 ns for each run of a program.
    echo 1 >/proc/sys/kernel/bpf_stats_enabled || ewarn "run times of programs stay unknown"
}

stop_post() {
    # What has run its time is detached also where the agent cannot do it any more.
    "${command}" programs reap >/dev/null || ewarn "programs reap: see ${command} programs reap"
    return 0
}

reload() {
    ebegin "Reloading ${RC_SVCNAME}"
    supervise-daemon "${RC_SVCNAME}" --signal HUP --pidfile "${pidfile}"
    eend $?
}
END-OF-FILE
;;
openrc/guest-agent)
cat <<'END-OF-FILE'
#!/sbin/openrc-run
# /etc/init.d/guest-agent: chmod +x, then `rc-update add guest-agent default` and `rc-service guest-agent start`.
#
# Once, as root, where no installer did it:
#   addgroup -S guest-agent && adduser -S -D -H -h /dev/null -s /bin/false -G guest-agent guest-agent

name="guest-agent"
description="Tells the manager of a Firecracker host this guest's processor and memory"
command="/usr/local/bin/guest-agent"
# The log file is begun anew when it has 10 MiB: that takes a folder of its own. Its usual name leads there.
command_args="--log-output stdout --log-file /var/log/guest-agent/agent.log ${command_args:-}"
command_background=true
command_user="guest-agent:guest-agent"
pidfile="/run/${RC_SVCNAME}.pid"
retry="TERM/5/KILL/5"
extra_started_commands="reload"

# What a crash would say. OpenRC's own start-stop-daemon can keep it, Debian's cannot.
if start-stop-daemon --help 2>&1 | grep -q -e '--stderr'; then
    error_log="/var/log/guest-agent/agent.err"
fi

depend() {
    need net
    after firewall
}

start_pre() {
    checkpath --directory --owner "${command_user}" --mode 0750 /var/log/guest-agent
    [ -e /var/log/guest-agent.log ] || ln -sf guest-agent/agent.log /var/log/guest-agent.log
}

reload() {
    ebegin "Reloading ${RC_SVCNAME}"
    kill -HUP "$(cat "${pidfile}")"
    eend $?
}
END-OF-FILE
;;
openrc/lunasentri-agent)
cat <<'END-OF-FILE'
#!/sbin/openrc-run
# /etc/init.d/lunasentri-agent: chmod +x, then `rc-update add lunasentri-agent default` and `rc-service lunasentri-agent start`.
# Options besides /etc/lunasentri/agent.yaml go into /etc/conf.d/lunasentri-agent, as command_args="…".
#
# Once, as root, where no installer did it:
#   ln -s sigma-agent /usr/local/bin/lunasentri-agent
#   addgroup -S lunasentri && adduser -S -D -H -h /var/lib/lunasentri -s /bin/false -G lunasentri lunasentri
#   install -d -m 0750 -g lunasentri /etc/lunasentri

name="lunasentri-agent"
description="Pushes samples of this host to a LunaSentri server"
supervisor="supervise-daemon"
command="/usr/local/bin/lunasentri-agent"
# The log file is begun anew when it has 10 MiB; what else comes out is what a crash would say.
command_args="--log-output stdout --log-file /var/log/lunasentri/agent.log ${command_args:-}"
command_user="lunasentri:lunasentri"
pidfile="/run/${RC_SVCNAME}.pid"
error_log="/var/log/lunasentri/agent.err"
umask=0027
respawn_delay=5
# For ever: what is wrong now may be right in the night.
respawn_max=0
retry="TERM/5/KILL/5"
extra_started_commands="reload"

if supervise-daemon "${RC_SVCNAME}" --help 2>&1 | grep -q -e '--no-new-privs'; then
    supervise_daemon_args="--no-new-privs ${supervise_daemon_args:-}"
fi

depend() {
    # Not `need`: it goes on without a network, and is not to be stopped with it.
    use net dns
    after firewall
}

start_pre() {
    checkpath --directory --owner "${command_user}" --mode 0750 /var/log/lunasentri
    # Samples that could not be sent.
    checkpath --directory --owner "${command_user}" --mode 0700 /var/lib/lunasentri
}

reload() {
    ebegin "Reloading ${RC_SVCNAME}"
    supervise-daemon "${RC_SVCNAME}" --signal HUP --pidfile "${pidfile}"
    eend $?
}
END-OF-FILE
;;
openrc/sigma-agent)
cat <<'END-OF-FILE'
#!/sbin/openrc-run
# /etc/init.d/sigma-agent: chmod +x, then `rc-update add sigma-agent default` and `rc-service sigma-agent start`.
# Options besides /etc/sigma-agent/agent.yaml go into /etc/conf.d/sigma-agent, as command_args="…".
#
# Once, as root, where no installer did it:
#   addgroup -S sigma-agent && adduser -S -D -H -h /var/lib/sigma-agent -s /bin/false -G sigma-agent sigma-agent
#   install -d -m 0750 -g sigma-agent /etc/sigma-agent

name="sigma-agent"
description="Registers this host with a Sigma API, sends heartbeats, serves metrics"
supervisor="supervise-daemon"
command="/usr/local/bin/sigma-agent"
# The log file is begun anew when it has 10 MiB; what else comes out is what a crash would say.
command_args="--log-output stdout --log-file /var/log/sigma-agent/agent.log ${command_args:-}"
command_user="sigma-agent:sigma-agent"
pidfile="/run/${RC_SVCNAME}.pid"
error_log="/var/log/sigma-agent/agent.err"
umask=0027
respawn_delay=5
# For ever: what is wrong now may be right in the night.
respawn_max=0
retry="TERM/5/KILL/5"
extra_started_commands="reload"

# Owners of ports of other users: capabilities="^cap_sys_ptrace,^cap_dac_read_search" in /etc/conf.d/sigma-agent, where this OpenRC
# was built with them.
if supervise-daemon "${RC_SVCNAME}" --help 2>&1 | grep -q -e '--no-new-privs'; then
    supervise_daemon_args="--no-new-privs ${supervise_daemon_args:-}"
fi

depend() {
    # Not `need`: it goes on without a network, and is not to be stopped with it.
    use net dns
    after firewall
}

start_pre() {
    checkpath --directory --owner "${command_user}" --mode 0750 /var/log/sigma-agent
    # With --push: samples that could not be sent.
    checkpath --directory --owner "${command_user}" --mode 0700 /var/lib/sigma-agent
}

reload() {
    ebegin "Reloading ${RC_SVCNAME}"
    supervise-daemon "${RC_SVCNAME}" --signal HUP --pidfile "${pidfile}"
    eend $?
}
END-OF-FILE
;;
# files: end
    esac
}

main "$@"
exit
}
