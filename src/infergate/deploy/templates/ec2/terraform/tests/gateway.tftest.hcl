# `terraform test`: needs no account.
mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-west-2a", "us-west-2b"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\": \"2012-10-17\", \"Statement\": []}" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/gateway" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0" }
  }
}

variables {
  domain_name   = "example.org"
  email_address = "ops@example.org"
}

run "the_instance_is_closed" {
  assert {
    condition     = aws_launch_template.gateway.metadata_options[0].http_tokens == "required"
    error_message = "IMDSv2 is required"
  }

  assert {
    condition     = aws_launch_template.gateway.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "Nothing behind the instance reaches its metadata"
  }

  assert {
    condition     = tobool(aws_launch_template.gateway.block_device_mappings[0].ebs[0].encrypted)
    error_message = "Its disk is encrypted"
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.https : rule.from_port] == [443] && aws_vpc_security_group_ingress_rule.http.from_port == 80
    error_message = "443 and 80 are open"
  }

  assert {
    condition     = length(local.user_data) < 16384
    error_message = "AWS takes 16 KB of user data"
  }
}

run "a_version_counted_up_makes_another_group" {
  command = plan

  variables {
    ec2_instance_version = 2
  }

  assert {
    condition     = aws_autoscaling_group.gateway.name != run.the_instance_is_closed.group
    error_message = "The group has another name, so that both are there for a while"
  }
}

run "a_value_that_a_shell_would_run_is_refused" {
  command = plan

  variables {
    model_id = "x'; reboot; '"
  }

  expect_failures = [var.model_id]
}
