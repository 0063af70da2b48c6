#!/usr/bin/env bash
# Run the benchmarks whose output the page "Speed and memory" shows: `bash benchmarks/record.sh [NAME]`, about four hours.
# Numbers that other programs read go to benchmarks/results, too. RECORDED names a folder of recorded films that are not
# shipped; see benchmarks/extended.py.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p book/speed
export BENCHMARK_RESULTS=benchmarks/results

# record NAME COMMAND...: all commands of one name go to one file, each below its own line
record() {
    local name=$1
    shift
    [[ -z $only || $name == "$only"* ]] || return 0
    local file=book/speed/$name.txt
    [[ " $begun " == *" $name "* ]] || : >"$file"
    begun+=" $name"
    local word said
    said=$(for word; do [[ $word == *" "* ]] && printf ' "%s"' "$word" || printf ' %s' "$word"; done)
    [[ -z ${RECORDED:-} ]] || said=${said//"$RECORDED"/FOLDER}
    printf '$ python benchmarks/%s\n' "${said# }" | tee -a "$file"
    "${PYTHON:-python}" benchmarks/"$1" "${@:2}" 2>/dev/null | tee -a "$file"
    echo | tee -a "$file"
}

only=${1:-} begun=
record simulation_series simulation.py series
record simulation_series simulation.py series --pixels 512 --shells 12
record simulation_likeness simulation.py likeness
record detection_matrix detection_matrix.py abtem
record detection_matrix detection_matrix.py cost
record throughput throughput.py
record scaling scaling.py
record training training.py
record gpu gpu.py
record reconstruction reconstruction.py engines --slices 16 --pixels 128 --iterations 100
record reconstruction reconstruction.py engines --slices 16 --pixels 512 --iterations 100 --measured 10 --engines sparse torch astra
record reconstruction reconstruction.py methods
record reconstruction reconstruction.py memory --pixels 512 --slices 512 --iterations 1
record reconstruction reconstruction.py distances --points 1000000
record formats formats.py
record own_sample own_sample.py
record paper_size paper_size.py predict
record alignment alignment.py accuracy
record alignment alignment.py methods
record alignment alignment.py time
record alignment_films alignment_films.py
record alignment_limit alignment_limit.py
record verdicts verdicts.py
record extended extended.py ${RECORDED:+--recorded "$RECORDED"}
record atoms atoms.py speed
record atoms atoms.py fit
record atoms_extended atoms_extended.py
[[ -z ${RECORDED:-} ]] || record atoms_extended atoms_extended.py --recorded "$RECORDED"
record beyond beyond.py
record poses poses.py
record elements elements.py
record dynamical dynamical.py --particle "W 65, bcc" --microscope aberrated --spacing 24 --targets 3
record dynamical dynamical.py --particle CoPdPt --particle "CoPdPt thermal" --elements Co,Pd,Pt
record dynamical dynamical.py --particle CoPdPt --elements Co,Pd,Pt --off 0.05
record dynamical dynamical.py --particle AlAu --microscope non_aberrated
record dynamical dynamical.py --particle AlAu --microscope non_aberrated --elements Al,Au
record dynamical dynamical.py --particle "Yb 77, PRISM" --microscope non_aberrated --spacing 24 --targets 2 --auto
record position_refinement position_refinement.py
record scale scale.py workers
record scale scale.py training
record scale scale.py memory --rows 1024
record atom_limits atom_limits.py --ship
record rivals rivals.py reconstruction
record rivals rivals.py prediction
[[ -z ${RECORDED:-} ]] || record rivals rivals.py --case recorded prediction --recorded "$RECORDED"
