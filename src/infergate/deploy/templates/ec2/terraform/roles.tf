# What the instance may: read its files and two secrets, keep its backup, take its address, say that it is healthy,
# and be reached by Session Manager. (AWS' own policy for the last would let it read every parameter there is.)

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "gateway" {
  name_prefix        = "${local.name}-"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_instance_profile" "gateway" {
  name_prefix = "${local.name}-"
  role        = aws_iam_role.gateway.name
}

data "aws_iam_policy_document" "gateway" {
  #checkov:skip=CKV_AWS_111:Session Manager's calls know no resources
  #checkov:skip=CKV_AWS_356:Session Manager's calls know no resources
  statement {
    sid       = "Files"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.this.arn}/instance/*", "${aws_s3_bucket.this.arn}/state/*"]
  }

  statement {
    sid       = "Backup"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/state/*"]
  }

  # Without it, an object that is not there looks like one that may not be read.
  statement {
    sid       = "WhetherThereIsABackup"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.this.arn]
  }

  statement {
    sid       = "Secrets"
    actions   = ["ssm:GetParameter"]
    resources = [for name in [var.hf_token_parameter_name, local.passphrase] : "${local.parameters}${name}"]
  }

  statement {
    sid       = "PassphraseOnce"
    actions   = ["ssm:PutParameter"]
    resources = ["${local.parameters}${local.passphrase}"]
  }

  statement {
    sid     = "Address"
    actions = ["ec2:AssociateAddress"]
    resources = [
      aws_eip.gateway.arn,
      "arn:aws:ec2:${var.region}:${data.aws_caller_identity.current.account_id}:instance/*",
      "arn:aws:ec2:${var.region}:${data.aws_caller_identity.current.account_id}:network-interface/*",
    ]
  }

  statement {
    sid       = "Healthy"
    actions   = ["autoscaling:CompleteLifecycleAction"]
    resources = ["arn:aws:autoscaling:${var.region}:${data.aws_caller_identity.current.account_id}:autoScalingGroup:*:autoScalingGroupName/${local.name}-*"]
  }

  statement {
    sid = "SessionManager"
    actions = [
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }
}

resource "aws_iam_role_policy" "gateway" {
  name_prefix = "${local.name}-"
  role        = aws_iam_role.gateway.id
  policy      = data.aws_iam_policy_document.gateway.json
}
