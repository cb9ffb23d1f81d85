# What is set in terraform.tfvars. Values that go to the instance are checked here, so that they can stand in a
# shell's file as they are.

variable "region" {
  description = "AWS region"
  type        = string
  default     = "us-west-2"
}

variable "environment" {
  description = "Name of this deployment; part of the names of what is made"
  type        = string
  default     = "production"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment: a small letter first, then small letters, digits and -, 20 at most."
  }
}

variable "tags" {
  description = "Tags of everything that is made"
  type        = map(string)
  default     = {}
}

# ---- Names and who may come ------------------------------------------------------------------------------------

variable "domain_name" {
  description = "The gateway is infer.DOMAIN"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$", var.domain_name))
    error_message = "domain_name: a name such as example.org, in small letters."
  }
}

variable "create_route53_records" {
  description = "Make the record infer.DOMAIN in Route 53; if not, make it where your DNS is"
  type        = bool
  default     = true
}

variable "route53_zone_id" {
  description = "The zone of domain_name; looked up by its name if empty"
  type        = string
  default     = ""
}

variable "email_address" {
  description = "Where Let's Encrypt writes to"
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+$", var.email_address))
    error_message = "email_address: an address such as ops@example.org."
  }
}

variable "allowed_cidr_blocks" {
  description = "Who may open https; port 80 is open to all, for Let's Encrypt's questions and redirects"
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "vpc_cidr" {
  description = "Addresses of the network that is made"
  type        = string
  default     = "10.0.0.0/16"
}

# ---- The instance ----------------------------------------------------------------------------------------------

variable "instance_type" {
  description = "Type of the instance without a GPU"
  type        = string
  default     = "m7i.2xlarge"
}

variable "use_gpu_instance" {
  description = "Take gpu_instance_type, and install NVIDIA's driver"
  type        = bool
  default     = false
}

variable "gpu_instance_type" {
  description = "Type of the instance with a GPU"
  type        = string
  default     = "g5.2xlarge"
}

variable "root_volume_size" {
  description = "GB; the models are on it, too"
  type        = number
  default     = 100
}

variable "key_name" {
  description = "Key pair for ssh, by way of Session Manager: port 22 is closed"
  type        = string
  default     = null
}

variable "ami_id" {
  description = "An image of Debian 13, with vLLM in /opt/vllm or without; Debian's newest if empty"
  type        = string
  default     = ""
}

variable "ec2_instance_version" {
  description = "Count it up to replace the instance"
  type        = number
  default     = 1
}

# ---- The gateway -----------------------------------------------------------------------------------------------

variable "app_port" {
  description = "The gateway without TLS, for programs on the instance itself"
  type        = number
  default     = 8080
}

variable "default_proxy_timeout" {
  description = "Seconds until the first byte: embeddings, reranks, scores, tokens"
  type        = number
  default     = 90
}

variable "max_proxy_timeout" {
  description = "Seconds until the first byte: whole answers of models"
  type        = number
  default     = 600
}

# ---- vLLM ------------------------------------------------------------------------------------------------------

variable "vllm_port" {
  description = "vLLM's port, on the instance's loopback"
  type        = number
  default     = 8000
}

variable "vllm_image_tag" {
  description = "vLLM's version as its images are tagged: latest, or v0.19.0"
  type        = string
  default     = "latest"

  validation {
    condition     = can(regex("^(latest|v?[0-9]+(\\.[0-9]+)*(\\.?(post|rc)[0-9]+)?)$", var.vllm_image_tag))
    error_message = "vllm_image_tag: latest, or a version such as v0.19.0."
  }
}

variable "model_id" {
  description = "Hugging Face's name of the model"
  type        = string
  default     = "Qwen/Qwen3-0.6B"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.model_id))
    error_message = "model_id: letters, digits, and . _ / - only."
  }
}

variable "max_model_len" {
  description = "Tokens of a prompt with its answer"
  type        = number
  default     = 16384
}

variable "gpu_memory_utilization" {
  description = "Share of the GPU's memory that vLLM takes"
  type        = number
  default     = 0.9
}

variable "tensor_parallel_size" {
  description = "GPUs that share each layer"
  type        = number
  default     = 1
}

variable "pipeline_parallel_size" {
  description = "GPUs that layers are dealt out to"
  type        = number
  default     = 1
}

variable "tool_call_parser" {
  description = "How the model writes calls of tools; none if empty"
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-z0-9_-]*$", var.tool_call_parser))
    error_message = "tool_call_parser: a name of vLLM's such as hermes."
  }
}

variable "hf_token_parameter_name" {
  description = "Parameter of SSM (SecureString) with Hugging Face's token; it may be missing"
  type        = string
  default     = "/inference/hf_token"

  validation {
    condition     = can(regex("^/[A-Za-z0-9_./-]+$", var.hf_token_parameter_name))
    error_message = "hf_token_parameter_name: a path such as /inference/hf_token."
  }
}
