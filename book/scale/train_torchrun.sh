#!/bin/bash
# Train the recipe "published" with all GPUs of this machine: bash book/scale/train_torchrun.sh [options of torchrun]
# For several machines, run it on each, with --nnodes, --node-rank and --master-addr.
set -euo pipefail
# else processes that are started again wait for those that died (github.com/pytorch/pytorch/issues/135712)
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
tsg train --recipe published --data-only
torchrun --nproc-per-node gpu --max-restarts 3 "$@" -m tsgbook.cli train --recipe published
