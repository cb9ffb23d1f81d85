"""Headers that do not pass: of a client towards backends and services, and of their answers."""

from __future__ import annotations

from infergate.config.headers import FORWARDED, HOP_BY_HOP

IDENTITY_FAMILIES: dict[str, str] = {
    # Beginning of the name: how those that are in use go on, "" being nothing.
    "Remote-": "User Groups Group Name Email Roles",
    "X-Remote-": "User Groups Group Name Email Roles Uid Extra User-Email User-Id Addr IP",
    "X-WEBAUTH-": "User Name Email Groups Role Roles",
    "X-Forwarded-": "User Email Groups Group Roles Role Name Preferred-Username Username User-Id"
    " Access-Token Id-Token Client-Cert Client-Cert-Chain Tls-Client-Cert Tls-Client-Cert-Info",
    "X-Auth-Request-": "User Email Groups Roles Preferred-Username Access-Token Id-Token Redirect",
    "X-Authentik-": "Username Groups Entitlements Email Name Uid Jwt Meta-Jwks Meta-Outpost"
    " Meta-Provider Meta-App Meta-Version Auth-Callback",
    "X-Authelia-": "URL User Username Groups Email Name",
    "X-Authenticated-": "User Username Userid User-Id Groups Groupname Email Scope By",
    "X-Authorized-": "User Groups Email Scopes",
    "Cf-Access-": "Jwt-Assertion Authenticated-User-Email Client-Id Client-Secret Token",
    "Tailscale-": "User-Login User-Name User-Profile-Pic Headers-Info App-Capabilities",
    "X-Goog-Authenticated-": "User-Email User-Id",
    "X-Goog-IAP-": "Jwt-Assertion Generated-Response",
    "X-MS-CLIENT-PRINCIPAL": " -Name -Id -Idp",
    "X-MS-TOKEN-": "AAD-Access-Token AAD-Id-Token AAD-Refresh-Token AAD-Expires-On"
    " Google-Access-Token Google-Id-Token Facebook-Access-Token Twitter-Access-Token",
    "X-Amzn-Oidc-": "Data Identity Accesstoken",
    "X-Amzn-Mtls-": "Clientcert Clientcert-Leaf Clientcert-Subject Clientcert-Issuer"
    " Clientcert-Serial-Number Clientcert-Validity",
    "X-Appengine-": "User-Email User-Id User-Nickname User-Is-Admin User-Organization"
    " Inbound-Appid Auth-Domain",
    "X-Consumer-": "Id Custom-Id Username Groups",
    "X-Credential-": "Identifier Username",
    "X-Pomerium-": "Jwt-Assertion Claim-Email Claim-User Claim-Groups Claim-Sub Claim-Name",
    "X-Vouch-": "User Token IdP-Claims-Email IdP-Claims-Groups IdP-IdToken IdP-AccessToken",
    "X-Keycloak-": "User Username Email Groups Roles",
    "X-Zitadel-": "User Userid Email Roles Orgid",
    "X-Okta-": "User Email Groups",
    "X-Oidc-": "User Username Email Groups Roles Name Sub Claims",
    "Oidc-": "Claim-Sub Claim-Email Claim-Name Claim-Preferred-Username Claim-Groups Claim-Roles"
    " Access-Token Id-Token",
    "X-Saml-": "User Username Email Groups Roles",
    "X-Sso-": "User Username Email Groups",
    "X-Ldap-": "User Groups",
    "X-Jwt-": "Assertion Payload Claims User",
    "X-Claim-": "Sub Email Name Groups Roles",
    "Teleport-": "Jwt-Assertion",
    "X-Token-": "Subject User-Name User-Email User-Roles",
    "X-Sandstorm-": "User-Id Username Permissions Tab-Id User-Handle User-Picture Preferred-Handle",
    "X-Kratos-Authenticated-": "Identity-Id",
    "X-Hass-": "User-Id Is-Admin Source",
    "X-RH-": "Identity",
    "Shib-": "Session-Id Identity-Provider",
    "Mellon-": "Name-Id User",
    "Iv-": "User Groups Creds",
    "X-Proxy-": "User Roles Remote-User Groups",
    "Impersonate-": "User Group Uid",
    "Ssl-Client-": "Cert Verify S-Dn I-Dn Subject-Dn Issuer-Dn Serial Fingerprint Cn",
    "X-Ssl-": "Cert Client-Cert Client-Verify Client-S-Dn Client-I-Dn Client-Subject-Dn Client-Dn"
    " Client-Cn Client-Fingerprint Client-Serial",
    "X-Tls-Client-": "Cert Cert-Info Verify Subject",
    "X-Client-Cert": " -Dn -Subject -Issuer -Serial -Fingerprint -Chain -Verify -Verified",
    "Client-Cert": " -Chain",
    "WL-Proxy-Client-": "Cert",
    "X-Infergate-": "Backend Ticket Patience Hedge Address Service Watched Token Parent Client"
    " Handed Tenant Key Entry",
}
"""Who is logged in, as a proxy before a service tells it: Authelia, authentik, oauth2-proxy,
Cloudflare Access, Tailscale, Google's IAP and App Engine, Azure's Easy Auth, AWS' load balancers,
Kong, Pomerium, vouch, mod_auth_openidc, Shibboleth, caddy-security, Ory, Sandstorm, WebSEAL,
OpenSearch, Kubernetes, Traefik, nginx, Envoy (RFC 9440). The last family is what parts of ours tell
each other."""

IDENTITY = (
    *("User", "X-User", "X-Username", "X-User-Name", "X-UserId", "X-User-Id", "X-User-Email"),
    *("X-User-Groups", "X-User-Group", "X-User-Roles", "X-User-Role", "X-User-Info"),
    *("X-User-Claims", "X-User-Sub", "X-User-Login", "X-User-DN", "X-Userinfo", "X-ID-Token"),
    *("X-Auth-User", "X-Auth-Username", "X-Auth-User-Id", "X-Auth-Userid", "X-Auth-Email"),
    *("X-Auth-User-Email", "X-Auth-Name", "X-Auth-Group", "X-Auth-Groups", "X-Auth-Role"),
    *("X-Auth-Roles", "X-Auth-Sub", "X-Auth-Subject", "X-Auth-Uid", "X-Auth-Claims"),
    *("X-Email", "X-Groups", "X-Group", "X-Roles", "X-Role", "X-Principal", "X-Login"),
    *("X-Logged-In-User", "X-Current-User", "X-Real-User", "X-Anonymous-Consumer"),
    *("X-Client-DN", "X-Client-S-DN", "X-Client-CN", "X-Client-Verify", "X-Client-Subject"),
    *("X-ARR-ClientCert", "X-Spiffe-Id", "L5d-Client-Id", "X-Serverless-Authenticated-User"),
    *("SM-User", "SM-Universalid", "OAM-Remote-User", "Es-Security-Runas-User"),
    *("Auth-User", "Authenticated-User", "Gap-Auth", "SMUSER", "X-Trusted-User"),
    *("X-ProxiedEntitiesChain", "X-ProxiedEntityGroups"),
    *("X-Iap-Jwt-Assertion", "X-Endpoint-API-UserInfo", "X-Apigateway-Api-Userinfo"),
)
"""The same where the beginning of the name says nothing: X-User-Agent and X-Auth-Token are a
client's own."""

CLAIMS = """
Access-Token Account Admin Assertion Attributes Claims Cn Department Display-Name Dn Email
Email-Address Email-Verified Entitlements Family-Name First-Name Full-Name Fullname Given-Name Group
Groups Id Id-Token Is-Admin Issuer Jwt Jwt-Assertion Last-Name Login Mail Name Nickname Org
Organization Permissions Preferred-Username Principal Role Roles Scope Scopes Session Sub Subject
Tenant Token Uid User User-Email User-Groups User-Id User-Name User-Roles Userid Userinfo Username
"""
"""What a header of a family can be about."""

ANSWERED = (
    "x-infergate-request-id",
    "x-infergate-backend",
    "x-infergate-model",
    "x-infergate-attempts",
    "x-infergate-queue-ms",
    "x-infergate-reached",
    "x-infergate-address",
)
"""What only we say of an answer."""


EXPOSED = [
    *("x-request-id", "retry-after", "x-infergate-cache", "deprecation", "sunset", "link"),
    *ANSWERED,
    *(
        f"x-ratelimit-{each}-{of}"
        for each in ("limit", "remaining", "reset")
        for of in ("requests", "tokens")
    ),
]
"""What pages of other sites may read of an answer, where they may use the API."""


def stripped(added: list[str]) -> tuple[str, ...]:
    """The names of a client's headers that nobody behind the gateway sees, each once.

    added: the operator's own, lower case; "x-corp-*" is a family and no name.
    """
    in_families = (
        beginning + end for beginning, ends in IDENTITY_FAMILIES.items() for end in ends.split(" ")
    )
    own = (name for name in added if not name.endswith("*"))
    names = (*HOP_BY_HOP, *FORWARDED, *IDENTITY, *in_families, *own)
    return tuple({name.lower(): name for name in names}.values())


def claimed(added: list[str]) -> tuple[str, ...]:
    """Further names that no service sees: what a family could be used for, known or not. Each name
    costs a location some memory, and no request anything."""
    own = [name.removesuffix("*") for name in added if name.endswith("*")]
    known = {name.lower() for name in stripped(added)}
    names = (
        beginning + ("" if beginning.endswith("-") else "-") + claim
        for beginning in (*IDENTITY_FAMILIES, *own)
        for claim in CLAIMS.split()
    )
    return tuple({name.lower(): name for name in names if name.lower() not in known}.values())
