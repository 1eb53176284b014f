#pragma once

#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "bindings/convert.h"
#include "bindings/gil.h"
#include "runtime/session.h"

namespace fastort::bindings {

// The engine's session with what a call from Python needs at hand.
class PySession {
 public:
  explicit PySession(std::unique_ptr<Session> session);

  // `output_names`: None, or names; all outputs where there are none. Returns a new list of Python values.
  PyObject* run(PyObject* output_names, PyObject* feed, PyObject* run_options) const;
  // The same with OrtValues out. `bound` holds None or an OrtValue for each output, whose memory the result is
  // written to.
  pybind11::list run_values(const pybind11::object& output_names, const pybind11::object& feed,
                            const pybind11::list& bound, const pybind11::object& run_options) const;

  // Frees the engine's session once the runs in flight are done.
  void close() noexcept;
  std::shared_ptr<Session> session() const;

 private:
  struct Call;
  void prepare(PyObject* output_names, PyObject* feed, PyObject* run_options, Call& call) const;
  void select_outputs(PyObject* output_names, Call& call) const;
  static void separate(Call& call, std::span<const Value> targets = {});
  [[noreturn]] void fail_missing(PyObject* feed) const;

  mutable GilMutex mutex_;  // over session_, which another thread may close
  std::shared_ptr<Session> session_;
  std::vector<InputSlot> slots_;  // inputs, then overridable initializers
  size_t num_inputs_ = 0;
  size_t num_required_ = 0;
  pybind11::dict input_index_;  // by name
  pybind11::dict output_index_;
  std::vector<int> all_outputs_;
  mutable std::atomic<int64_t> last_run_ns_{std::numeric_limits<int64_t>::max()};
};

void bind_session(pybind11::module_& module);

}  // namespace fastort::bindings
