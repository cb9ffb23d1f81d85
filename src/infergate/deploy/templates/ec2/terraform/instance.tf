# The instance. A group of one, so that a new one is there, healthy and has the address before the old one goes, and
# so that one that dies is made anew. A newer image replaces nothing by itself: the next instance has it.

locals {
  name       = "infergate-${var.environment}"
  host       = "infer.${var.domain_name}"
  files      = "${path.module}/../instance"
  passphrase = "/inference/${var.environment}/backup_passphrase"
  parameters = "arn:aws:ssm:${var.region}:${data.aws_caller_identity.current.account_id}:parameter"
  type       = var.use_gpu_instance ? var.gpu_instance_type : var.instance_type

  # infergate.yaml is not among them: a change of it is taken over by the instance that runs.
  sums = filesha256("${local.files}/SHA256SUMS")

  settings = {
    REGION                 = var.region
    BUCKET                 = aws_s3_bucket.this.id
    HOST                   = local.host
    EMAIL_ADDRESS          = var.email_address
    ADDRESS                = aws_eip.gateway.public_ip
    ADDRESS_ID             = aws_eip.gateway.allocation_id
    APP_PORT               = var.app_port
    DEFAULT_PROXY_TIMEOUT  = var.default_proxy_timeout
    MAX_PROXY_TIMEOUT      = var.max_proxy_timeout
    USE_GPU                = var.use_gpu_instance
    VLLM_PORT              = var.vllm_port
    VLLM_IMAGE_TAG         = var.vllm_image_tag
    MODEL_ID               = var.model_id
    MAX_MODEL_LEN          = var.max_model_len
    GPU_MEMORY_UTILIZATION = var.gpu_memory_utilization
    TENSOR_PARALLEL_SIZE   = var.tensor_parallel_size
    PIPELINE_PARALLEL_SIZE = var.pipeline_parallel_size
    TOOL_CALL_PARSER       = var.tool_call_parser
    HF_TOKEN_PARAMETER     = var.hf_token_parameter_name
    PASSPHRASE_PARAMETER   = local.passphrase
    GROUP                  = local.group
    SUMS_SHA256            = local.sums
  }

  # Whatever makes another instance makes another group.
  group = "${local.name}-${var.ec2_instance_version}-${substr(sha256(jsonencode([
    local.sums, local.type, local.host, var.email_address, var.ami_id, var.root_volume_size, var.key_name,
    var.app_port, var.default_proxy_timeout, var.max_proxy_timeout, var.vllm_port, var.vllm_image_tag, var.model_id,
    var.max_model_len, var.gpu_memory_utilization, var.tensor_parallel_size, var.pipeline_parallel_size,
    var.tool_call_parser, var.hf_token_parameter_name,
  ])), 0, 8)}"

  user_data = templatefile("${path.module}/user_data.yaml.tftpl", {
    settings  = join("\n", [for name, value in local.settings : "${name}='${value}'"])
    bootstrap = file("${local.files}/bootstrap.sh")
  })
}

data "aws_ssm_parameter" "debian" {
  count = var.ami_id == "" ? 1 : 0

  name = "/aws/service/debian/release/13/latest/amd64"
}

resource "aws_launch_template" "gateway" {
  #checkov:skip=CKV_AWS_88:It fetches packages and models itself; its own address goes when it takes the one that stays
  name_prefix            = "${local.name}-"
  update_default_version = true
  image_id               = var.ami_id != "" ? var.ami_id : nonsensitive(data.aws_ssm_parameter.debian[0].value)
  instance_type          = local.type
  key_name               = var.key_name
  user_data              = base64encode(local.user_data)

  iam_instance_profile {
    arn = aws_iam_instance_profile.gateway.arn
  }

  network_interfaces {
    associate_public_ip_address = true
    security_groups             = [aws_security_group.gateway.id]
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda" # of Debian's images

    ebs {
      encrypted   = true
      volume_type = "gp3"
      volume_size = var.root_volume_size
    }
  }

  monitoring {
    enabled = true
  }

  lifecycle {
    precondition {
      condition     = length(local.user_data) < 16384
      error_message = "AWS takes 16 KB of user data at most."
    }
  }
}

resource "aws_autoscaling_group" "gateway" {
  #checkov:skip=CKV_AWS_315:It uses one; checkov sees no further than the block's variables
  name                      = local.group
  min_size                  = 1
  max_size                  = 1
  vpc_zone_identifier       = aws_subnet.public[*].id
  health_check_type         = "EC2"
  health_check_grace_period = 300
  wait_for_capacity_timeout = "70m"

  launch_template {
    id      = aws_launch_template.gateway.id
    version = aws_launch_template.gateway.latest_version
  }

  # The instance ends it by itself when it serves (setup.sh, step healthy). One that does not within the hour is
  # taken away, and what was there goes on.
  initial_lifecycle_hook {
    name                 = "healthy"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    default_result       = "ABANDON"
    heartbeat_timeout    = 3600
  }

  tag {
    key                 = "Name"
    value               = local.group
    propagate_at_launch = true
  }

  dynamic "tag" {
    for_each = merge({ Environment = var.environment }, var.tags)

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [
    aws_iam_role_policy.gateway,
    aws_s3_object.instance,
    aws_route_table_association.public,
    aws_vpc_security_group_egress_rule.all,
    aws_vpc_security_group_ingress_rule.http,
    aws_route53_record.infer,
  ]
}
