#!/bin/bash
#SBATCH --job-name=visiontune --nodes=4 --ntasks-per-node=1 --gpus-per-node=1 --cpus-per-task=8
#SBATCH --time=24:00:00 --signal=B:TERM@120 --requeue --open-mode=append
# A search on the machines of one SLURM job: sbatch deploy/slurm.sh FILE [KEY=VALUE ...], with VISIONTUNE_STUDIES on storage that all see.
# Preempted or out of time it stops within those 120 s, and the same command, or SLURM's requeue, goes on.
set -euo pipefail
mkdir -p "${VISIONTUNE_STUDIES:?must name a folder that all machines see}"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$VISIONTUNE_STUDIES/.ray_token-$SLURM_JOB_ID"
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32))' > "$RAY_AUTH_TOKEN_PATH")
# Since 22.05 srun takes a task's processors from here alone; Ray would count all that the machine has.
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:?must be given to sbatch: --cpus-per-task}"
head=$SLURMD_NODENAME port=$((20000 + SLURM_JOB_ID % 10000))
ray=(python -m visiontune.tuning.cluster.ray_start start --block --disable-usage-stats --num-cpus="$SLURM_CPUS_PER_TASK")
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" "${ray[@]}" --head --port="$port" --temp-dir="/tmp/r$SLURM_JOB_ID" &
until ray health-check --address "$head:$port" > /dev/null 2>&1; do
  kill -0 $! 2> /dev/null || { echo "Ray's head did not start on $head; what it said stands above" >&2; exit 1; }
  sleep 2
done
((SLURM_NNODES == 1)) || srun --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" "${ray[@]}" --address="$head:$port" &
exec visiontune search "$@" --address "$head:$port"
