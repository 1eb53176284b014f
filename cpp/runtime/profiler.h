#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "providers/cpu/context.h"

namespace fastort {

// A body in which a node stands.
struct ProfileBody {
  std::string node;       // whose body it is
  std::string attribute;  // under which the node has it
  int node_index = -1;
};

// One stretch of time: a step of a run, a whole run, or a stage of the session's making.
struct ProfileEvent {
  enum class Kind : uint8_t { Session, Node };
  Kind kind = Kind::Session;
  std::string name;                                        // the node's, or what the session did
  std::string op_type;                                     // of nodes
  std::string kernel;                                      // of nodes
  std::string provider;                                    // of nodes
  int node_index = -1;                                     // in the rewritten graph, or in the body
  std::shared_ptr<const std::vector<ProfileBody>> inside;  // of nodes in bodies, the outermost first; else nullptr
  int64_t begin_ns = 0;                                    // since profiling began
  int64_t duration_ns = 0;
  uint64_t thread = 0;                      // the system's number of the thread
  std::vector<TensorDesc> inputs, outputs;  // constants are not kept, only that they are some: see parameter_bytes
  size_t parameter_bytes = 0;
};

// Events of a session's runs, from any number of threads.
class Profiler {
 public:
  // More are dropped, with one warning.
  static constexpr size_t kMaxEvents = 1'000'000;

  Profiler();

  // When profiling began, in nanoseconds of the system's clock.
  int64_t start_time_ns() const { return start_time_ns_; }
  int64_t now_ns() const;
  void add(std::string name, int64_t begin_ns);  // a stage of the session that ends now
  void add(std::vector<ProfileEvent> events);
  std::vector<ProfileEvent> take();
  void note_full();

 private:
  int64_t start_time_ns_;
  int64_t steady_start_ns_;
  std::mutex mutex_;
  std::vector<ProfileEvent> events_;
  bool full_ = false;
};

// Records the steps of one run.
class RunRecorder final : public StepObserver {
 public:
  RunRecorder(Profiler& profiler, const Graph& graph);
  ~RunRecorder();
  RunRecorder(const RunRecorder&) = delete;
  RunRecorder& operator=(const RunRecorder&) = delete;

  void begin(const Instance& plan, const Step& step) override;
  void end(const Instance& plan, const Step& step) override;
  void device_times(const Instance& plan, std::span<const DeviceTime> times) override;
  void enter(const Graph& body) override;
  void leave() noexcept override { levels_.pop_back(); }

 private:
  using Path = std::shared_ptr<const std::vector<ProfileBody>>;
  // The model, and a body for each node in progress that runs one.
  struct Level {
    const Graph* graph = nullptr;
    Path inside = nullptr;
    int64_t step_begin_ns = 0;
    int step_node = -1;
    const Instance* plan = nullptr;
    size_t next_decision = 0;  // decisions stand in the order of the steps
  };
  static const Decision* decision_of(Level& level, int node);
  // The event of a node of the graph, without its times.
  static ProfileEvent node_event(Level& level, int node);

  Profiler& profiler_;
  const int64_t run_begin_ns_ = profiler_.now_ns();
  std::vector<Level> levels_;
  std::map<std::pair<const void*, const Graph*>, Path> paths_;  // by the path around the body, and the body
  std::vector<ProfileEvent> events_;
};

}  // namespace fastort
