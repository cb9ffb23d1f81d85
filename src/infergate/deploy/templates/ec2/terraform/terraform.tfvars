# Yours. What else there is stands in variables.tf.
region        = "us-west-2"
domain_name   = "example.org" # the gateway is infer.example.org
email_address = "ops@example.org"

# Who may open https.
allowed_cidr_blocks = ["0.0.0.0/0"]

use_gpu_instance  = true
gpu_instance_type = "g5.2xlarge"

model_id      = "Qwen/Qwen3-8B"
max_model_len = 16384

# Counted up, the instance is replaced.
ec2_instance_version = 1
