output "url" {
  description = "The base_url of clients"
  value       = "https://${local.host}/v1"
}

output "address" {
  description = "For the record of infer.DOMAIN, if it is not made here"
  value       = aws_eip.gateway.public_ip
}

output "bucket" {
  description = "Where the instance's files and the gateway's backup are"
  value       = aws_s3_bucket.this.id
}

output "group" {
  description = "The group of one that runs"
  value       = aws_autoscaling_group.gateway.name
}
