#include "runtime/profiler.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <functional>
#include <thread>
#endif

#include "base/fork.h"
#include "base/log.h"

namespace fastort {
namespace {

int64_t steady_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

uint64_t this_thread() {
#if defined(__linux__)
  return static_cast<uint64_t>(syscall(SYS_gettid));
#else
  return std::hash<std::thread::id>()(std::this_thread::get_id());
#endif
}

// The node's name; that of its first output where it has none.
std::string name_of(const Graph& graph, int index) {
  const Node& node = graph.nodes[static_cast<size_t>(index)];
  if (!node.name.empty()) return node.name;
  const bool named = !node.outputs.empty() && node.outputs[0] != kNoValue;
  return named ? graph.value(node.outputs[0]).name : node.op_type + "_" + std::to_string(index);
}

// The name under which a node has a body.
std::string attribute_of(const Node& node, const Graph& body) {
  for (const auto& [name, value] : node.attributes) {
    const auto* graph = std::get_if<std::shared_ptr<Graph>>(&value);
    if (graph && graph->get() == &body) return name;
  }
  return body.name;
}

}  // namespace

Profiler::Profiler()
    : start_time_ns_(
          std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()),
      steady_start_ns_(steady_ns()) {}

int64_t Profiler::now_ns() const { return steady_ns() - steady_start_ns_; }

void Profiler::add(std::string name, int64_t begin_ns) {
  ProfileEvent event;
  event.name = std::move(name);
  event.begin_ns = begin_ns;
  event.duration_ns = now_ns() - begin_ns;
  event.thread = this_thread();
  std::vector<ProfileEvent> events;
  events.push_back(std::move(event));
  add(std::move(events));
}

void Profiler::add(std::vector<ProfileEvent> events) {
  {
    const ForkGuard guard;
    const std::lock_guard lock(mutex_);
    if (events_.size() + events.size() <= kMaxEvents) {
      events_.insert(events_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
      return;
    }
  }
  note_full();
}

void Profiler::note_full() {
  {
    const ForkGuard guard;
    const std::lock_guard lock(mutex_);
    if (std::exchange(full_, true)) return;
  }
  log(Severity::Warning, "The profile holds as many events as it can: what follows is left out of it.");
}

std::vector<ProfileEvent> Profiler::take() {
  const ForkGuard guard;
  const std::lock_guard lock(mutex_);
  full_ = false;
  return std::exchange(events_, {});
}

RunRecorder::RunRecorder(Profiler& profiler, const Graph& graph) : profiler_(profiler) {
  levels_.push_back({.graph = &graph});
}

void RunRecorder::begin(const Instance& plan, const Step& step) {
  Level& level = levels_.back();
  if (level.plan != &plan || &step == plan.steps.data()) {
    level.plan = &plan;
    level.next_decision = 0;
  }
  level.step_node = step.node;
  level.step_begin_ns = profiler_.now_ns();
}

const Decision* RunRecorder::decision_of(Level& level, int node) {
  const auto& decisions = level.plan->decisions;
  for (; level.next_decision < decisions.size(); ++level.next_decision)
    if (decisions[level.next_decision]->node == node) return decisions[level.next_decision].get();
  return nullptr;
}

void RunRecorder::enter(const Graph& body) {
  const Level& around = levels_.back();
  Path& path = paths_[{around.inside.get(), &body}];
  if (!path) {
    auto bodies = around.inside ? *around.inside : std::vector<ProfileBody>();
    const Node& node = around.graph->nodes[static_cast<size_t>(around.step_node)];
    bodies.push_back({name_of(*around.graph, around.step_node), attribute_of(node, body), around.step_node});
    path = std::make_shared<const std::vector<ProfileBody>>(std::move(bodies));
  }
  levels_.push_back({.graph = &body, .inside = path});
}

ProfileEvent RunRecorder::node_event(Level& level, int index) {
  ProfileEvent event;
  event.kind = ProfileEvent::Kind::Node;
  event.inside = level.inside;
  event.thread = this_thread();
  event.node_index = index;
  event.name = name_of(*level.graph, index);
  event.op_type = level.graph->nodes[static_cast<size_t>(index)].op_type;
  if (const Decision* decision = decision_of(level, index)) {
    event.kernel = decision->candidate;
    event.provider = decision->provider;
    event.inputs = decision->inputs;
    event.outputs = decision->outputs;
    for (TensorDesc& desc : event.inputs) {
      if (desc.constant) event.parameter_bytes += desc.constant->bytes();
      desc.constant = nullptr;
    }
  }
  return event;
}

void RunRecorder::end(const Instance& plan, const Step& step) {
  // One more is for the run.
  if (events_.size() + 1 >= Profiler::kMaxEvents) return profiler_.note_full();
  Level& level = levels_.back();
  ProfileEvent event;
  if (step.node >= 0) {
    event = node_event(level, step.node);
  } else {
    event.kind = ProfileEvent::Kind::Node;
    event.inside = level.inside;
    event.thread = this_thread();
    // The plan's own: a layout for the next kernel, or the copy of a result; or nodes on a device, with the copies to
    // and from it.
    const bool segment = plan.device_state >= 0 && step.state == plan.device_state;
    event.name = event.op_type = event.kernel = segment ? "Segment" : "Reorder";
  }
  event.begin_ns = level.step_begin_ns;
  event.duration_ns = profiler_.now_ns() - level.step_begin_ns;
  events_.push_back(std::move(event));
}

void RunRecorder::device_times(const Instance&, std::span<const DeviceTime> times) {
  if (times.empty() || events_.empty()) return;
  if (events_.size() + times.size() >= Profiler::kMaxEvents) return profiler_.note_full();
  // What the nodes took is theirs: the segment's own time is the rest, with which it begins.
  const size_t segment = events_.size() - 1;
  int64_t taken = 0;
  for (const DeviceTime& time : times) taken += time.duration_ns;
  events_[segment].duration_ns = std::max<int64_t>(0, events_[segment].duration_ns - taken);
  const int64_t begin = events_[segment].begin_ns + events_[segment].duration_ns;
  for (const DeviceTime& time : times) {
    ProfileEvent event = node_event(levels_.back(), time.node);
    event.begin_ns = begin + time.begin_ns;
    event.duration_ns = time.duration_ns;
    events_.push_back(std::move(event));
  }
}

RunRecorder::~RunRecorder() {
  ProfileEvent run;
  run.name = "model_run";
  run.begin_ns = run_begin_ns_;
  run.duration_ns = profiler_.now_ns() - run_begin_ns_;
  run.thread = this_thread();
  events_.push_back(std::move(run));
  profiler_.add(std::move(events_));
}

}  // namespace fastort
