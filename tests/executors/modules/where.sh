# Tell whether a node is among the ancestors of this process.
pid=$$
while [ "$pid" -gt 1 ]; do
  pid=$(ps -o ppid= -p "$pid" | tr -d ' ')
  case $(ps -o args= -p "$pid") in *flowq.worker.node*) echo node; exit ;; esac
done
echo fork
