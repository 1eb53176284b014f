#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "providers/cpu/context.h"

namespace fastort {

// One stretch of time: a step of a run, a whole run, or a stage of the session's making.
struct ProfileEvent {
  enum class Kind : uint8_t { Session, Node };
  Kind kind = Kind::Session;
  std::string name;      // the node's, or what the session did
  std::string op_type;   // of nodes
  std::string kernel;    // of nodes
  std::string provider;  // of nodes
  int node_index = -1;   // in the rewritten graph
  int64_t begin_ns = 0;  // since profiling began
  int64_t duration_ns = 0;
  uint64_t thread = 0;                      // the system's number of the thread
  std::vector<TensorDesc> inputs, outputs;  // constants are not kept, only that they are some: see parameter_bytes
  size_t parameter_bytes = 0;
};

// Events of a session's runs, from any number of threads.
class Profiler {
 public:
  Profiler();

  // When profiling began, in nanoseconds of the system's clock.
  int64_t start_time_ns() const { return start_time_ns_; }
  int64_t now_ns() const;
  void add(std::string name, int64_t begin_ns);  // a stage of the session that ends now
  void add(std::vector<ProfileEvent> events);
  std::vector<ProfileEvent> take();

 private:
  // More are dropped, with one warning.
  static constexpr size_t kMaxEvents = 1'000'000;

  int64_t start_time_ns_;
  int64_t steady_start_ns_;
  std::mutex mutex_;
  std::vector<ProfileEvent> events_;
  bool full_ = false;
};

// Records the steps of one run.
class RunRecorder final : public StepObserver {
 public:
  RunRecorder(Profiler& profiler, const Graph& graph) : profiler_(profiler), graph_(graph) {}
  ~RunRecorder();
  RunRecorder(const RunRecorder&) = delete;
  RunRecorder& operator=(const RunRecorder&) = delete;

  void begin(const Instance& plan, const Step& step) override;
  void end(const Instance& plan, const Step& step) override;
  void device_times(const Instance& plan, std::span<const DeviceTime> times) override;

 private:
  // The event of a node of the graph, without its times.
  ProfileEvent node_event(const Instance& plan, int node);
  const Decision* decision_of(const Instance& plan, int node);

  Profiler& profiler_;
  const Graph& graph_;
  const int64_t run_begin_ns_ = profiler_.now_ns();
  int64_t step_begin_ns_ = 0;
  const Instance* plan_ = nullptr;
  size_t next_decision_ = 0;  // decisions stand in the order of the steps
  std::vector<ProfileEvent> events_;
};

}  // namespace fastort
