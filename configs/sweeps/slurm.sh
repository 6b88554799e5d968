#!/bin/sh
# SPDX-License-Identifier: MIT
# A sweep as an array of jobs of Slurm, of which each takes runs that no other has taken:
#
#   sbatch --array=1-8 configs/sweeps/slurm.sh PLAN --train FILE [--out DIR ...]
#
# All options but the script's own are those of `unseen sweep`. The nodes must share the folder of --out (and the
# data). A job that comes near its time limit gets SIGUSR1, keeps a checkpoint, and asks to be queued again; then, as
# after a node's failure, it or another one goes on from there. UNSEEN names the program (default: unseen).
#SBATCH --job-name=unseen-sweep
#SBATCH --time=04:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun "${UNSEEN:-unseen}" sweep "$@"
code=$?

# 130: interrupted with a checkpoint kept.
if [ "$code" -eq 130 ]; then
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
    exit 0
fi
exit "$code"
