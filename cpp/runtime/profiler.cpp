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
  bool warn = false;
  {
    const ForkGuard guard;
    const std::lock_guard lock(mutex_);
    if (events_.size() + events.size() > kMaxEvents) {
      warn = !std::exchange(full_, true);
    } else {
      events_.insert(events_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
    }
  }
  if (warn) log(Severity::Warning, "The profile holds as many events as it can: what follows is left out of it.");
}

std::vector<ProfileEvent> Profiler::take() {
  const ForkGuard guard;
  const std::lock_guard lock(mutex_);
  full_ = false;
  return std::exchange(events_, {});
}

void RunRecorder::begin(const Instance& plan, const Step& step) {
  if (plan_ != &plan || &step == plan.steps.data()) {
    plan_ = &plan;
    next_decision_ = 0;
  }
  step_begin_ns_ = profiler_.now_ns();
}

const Decision* RunRecorder::decision_of(const Instance& plan, int node) {
  for (; next_decision_ < plan.decisions.size(); ++next_decision_)
    if (plan.decisions[next_decision_]->node == node) return plan.decisions[next_decision_].get();
  return nullptr;
}

ProfileEvent RunRecorder::node_event(const Instance& plan, int index) {
  ProfileEvent event;
  event.kind = ProfileEvent::Kind::Node;
  event.thread = this_thread();
  event.node_index = index;
  const Node& node = graph_.nodes[static_cast<size_t>(index)];
  event.name = node.name;
  event.op_type = node.op_type;
  if (event.name.empty()) {
    const bool named = !node.outputs.empty() && node.outputs[0] != kNoValue;
    event.name = named ? graph_.value(node.outputs[0]).name : node.op_type + "_" + std::to_string(index);
  }
  if (const Decision* decision = decision_of(plan, index)) {
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
  ProfileEvent event;
  if (step.node >= 0) {
    event = node_event(plan, step.node);
  } else {
    event.kind = ProfileEvent::Kind::Node;
    event.thread = this_thread();
    // The plan's own: a layout for the next kernel, or the copy of a result; or nodes on a device, with the copies to
    // and from it.
    const bool segment = plan.device_state >= 0 && step.state == plan.device_state;
    event.name = event.op_type = event.kernel = segment ? "Segment" : "Reorder";
  }
  event.begin_ns = step_begin_ns_;
  event.duration_ns = profiler_.now_ns() - step_begin_ns_;
  events_.push_back(std::move(event));
}

void RunRecorder::device_times(const Instance& plan, std::span<const DeviceTime> times) {
  if (times.empty() || events_.empty()) return;
  // What the nodes took is theirs: the segment's own time is the rest, with which it begins.
  const size_t segment = events_.size() - 1;
  int64_t taken = 0;
  for (const DeviceTime& time : times) taken += time.duration_ns;
  events_[segment].duration_ns = std::max<int64_t>(0, events_[segment].duration_ns - taken);
  const int64_t begin = events_[segment].begin_ns + events_[segment].duration_ns;
  for (const DeviceTime& time : times) {
    ProfileEvent event = node_event(plan, time.node);
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
