#!/bin/bash
# The first thing that runs: fetches the rest from the bucket, compares it, and hands over to setup.sh.
# Also what the other scripts use of AWS: curl signs, so nothing has to be installed for it.
set -euo pipefail
umask 077
. /etc/infergate-ec2.conf

HERE=/usr/local/lib/infergate-ec2
METADATA=http://169.254.169.254/latest

# IMDSv2: no answer without a token. imds PATH
imds() {
    local token
    token=$(curl -sSf --retry 10 --retry-all-errors -X PUT -H "X-aws-ec2-metadata-token-ttl-seconds: 300" $METADATA/api/token)
    printf 'header = "X-aws-ec2-metadata-token: %s"\n' "$token" | curl -sSf --retry 3 -K - "$METADATA/$1"
}

# The role's credentials as a file for curl, so that they are in no list of processes. Of the service named.
signed() {
    local role given
    role=$(imds meta-data/iam/security-credentials/)
    given=$(imds "meta-data/iam/security-credentials/$role")
    field() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p" <<< "$given"; }
    printf 'aws-sigv4 = "aws:amz:%s:%s"\n' "$REGION" "$1"
    printf 'user = "%s:%s"\n' "$(field AccessKeyId)" "$(field SecretAccessKey)"
    printf 'header = "X-Amz-Security-Token: %s"\n' "$(field Token)"
}

# aws_call SERVICE URL [curl's options]: what it answers; the code is curl's, 22 where it is an error.
aws_call() {
    local service=$1 url=$2
    shift 2
    curl -sS --fail-with-body --retry 5 --retry-connrefused -K <(signed "$service") "$@" "$url"
}

fetch() { aws_call s3 "https://$BUCKET.s3.$REGION.amazonaws.com/$1" -o "$2.new" && mv "$2.new" "$2"; }

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    mkdir -p "$HERE/files"
    cd "$HERE/files"
    fetch instance/SHA256SUMS SHA256SUMS
    echo "$SUMS_SHA256  SHA256SUMS" | sha256sum --check --quiet
    for file in $(cut -c67- SHA256SUMS); do
        fetch "instance/$file" "$file"
    done
    sha256sum --check --quiet SHA256SUMS
    install -m 755 setup.sh "$HERE/setup.sh"
    install -m 644 infergate-setup.service /etc/systemd/system/infergate-setup.service
    systemctl daemon-reload
    systemctl enable --quiet infergate-setup    # goes on after a reboot, until it is done
    systemctl start infergate-setup
fi
