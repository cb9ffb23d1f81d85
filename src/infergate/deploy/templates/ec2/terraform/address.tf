# One address that stays; the instance takes it when it is healthy (instance/setup.sh, step address).

resource "aws_eip" "gateway" {
  #checkov:skip=CKV2_AWS_19:It is the instance that takes it, when it is healthy
  domain = "vpc"

  tags = { Name = local.name }
}

data "aws_route53_zone" "this" {
  count = var.create_route53_records && var.route53_zone_id == "" ? 1 : 0

  name = var.domain_name
}

resource "aws_route53_record" "infer" {
  count = var.create_route53_records ? 1 : 0

  zone_id = var.route53_zone_id != "" ? var.route53_zone_id : data.aws_route53_zone.this[0].zone_id
  name    = local.host
  type    = "A"
  ttl     = 60
  records = [aws_eip.gateway.public_ip]
}
