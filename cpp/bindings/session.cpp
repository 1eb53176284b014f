#include "bindings/session.h"

#include <pybind11/critical_section.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <sstream>
#include <utility>

#include "base/error.h"
#include "bindings/errors.h"
#include "bindings/interrupt.h"
#include "bindings/ort_value.h"
#include "tensor/device_buffer.h"

namespace py = pybind11;

namespace fastort::bindings {
namespace {

constexpr int kNotFound = -1;

// The index stored under a name. Names of one program are the same objects as in the dict, more often than not: a
// pointer comparison then.
int find_index(const py::dict& index, PyObject* name) {
  PyObject* found = PyDict_GetItemWithError(index.ptr(), name);
  if (!found) {
    if (PyErr_Occurred()) throw py::error_already_set();
    return kNotFound;
  }
  return static_cast<int>(PyLong_AsLong(found));
}

std::string names_text(const py::dict& index) { return py::repr(py::list(index)).cast<std::string>(); }

void add_name(py::dict& index, const std::string& name, int at) {
  PyObject* text = text_to_python(name);
  if (!text) throw py::error_already_set();
  PyUnicode_InternInPlace(&text);
  index[py::reinterpret_steal<py::object>(text)] = at;
}

// The GIL is free while one of these lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

// References that keep the fed objects alive until they are converted.
class References {
 public:
  References() = default;
  ~References() {
    for (PyObject* object : objects_) Py_DECREF(object);
  }
  References(const References&) = delete;
  References& operator=(const References&) = delete;
  void add(PyObject* object) {
    Py_INCREF(object);
    objects_.push_back(object);
  }
  PyObject* operator[](size_t i) const { return objects_[i]; }

 private:
  InlineVector<PyObject*, 16> objects_;
};

[[noreturn]] void fail_stopped(const Error& error, const RunOptions* options) {
  if (!options || options->timeout_seconds == 0 || options->terminate.load())
    fail(ErrorCode::Cancelled, std::string("Exiting due to terminate flag being set to true. ") + error.what());
  std::ostringstream text;
  text << "the run took longer than its RunOptions.timeout_seconds, " << options->timeout_seconds << " s";
  fail(ErrorCode::Cancelled, text.str());
}

// Puts a result into the memory that the caller bound, unless the engine has written it there.
void write_bound(const Value& result, const Tensor& target, const NodeArgInfo& info) {
  if (!result.is_tensor()) invalid_argument("output '" + info.name + "' is no tensor and cannot be bound to memory");
  const Tensor& tensor = result.tensor();
  if (tensor.type() != target.type())
    invalid_argument("Unexpected output data type for output '" + info.name + "'. Actual: (tensor(" +
                     std::string(name(target.type())) + ")) , expected: (tensor(" + std::string(name(tensor.type())) +
                     ")): bind memory of the output's type");
  if (tensor.shape() != target.shape())
    invalid_argument("Got invalid dimensions for output: " + info.name + " : the bound memory is " + describe(target) +
                     ", the result is " + describe(tensor) +
                     ". Bind memory of that shape, or bind_output without memory, which takes any shape");
  if (tensor.identity() == target.identity() || tensor.count() == 0) return;
  if (tensor.type() == DataType::String)
    std::copy_n(tensor.data<std::string>(), tensor.count(), target.data<std::string>());
  else
    std::memcpy(target.raw(), tensor.raw(), tensor.bytes());
}

}  // namespace

struct PySession::Call {
  std::shared_ptr<Session> session;
  InlineVector<int, 16> inputs;
  InlineVector<int, 16> selected;
  std::span<const int> outputs;
  std::vector<Value> feeds;
  std::vector<Value> results;
  RunOptions* options = nullptr;

  // `expected_ns`: how long the session's last run took.
  void run(std::atomic<int64_t>& expected_ns) {
    const auto begin = std::chrono::steady_clock::now();
    if (expected_ns.load(std::memory_order_relaxed) < kShortRun)
      run_without_gil(options);
    else
      run_interruptible();
    const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - begin;
    expected_ns.store(taken.count(), std::memory_order_relaxed);
  }

 private:
  // Runs shorter than this are not worth the system calls that make Ctrl-C stop them.
  static constexpr int64_t kShortRun = 1'000'000;

  void run_without_gil(const RunOptions* run_options) {
    const WithoutGil released;
    try {
      session->run(inputs, feeds, outputs, results, run_options);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::Cancelled) fail_stopped(error, run_options);
      // The model was found valid when the session was made: it is the fed sizes that an operator cannot take.
      if (error.code() != ErrorCode::InvalidGraph) throw;
      fail(ErrorCode::Fail, std::string("Non-zero status code returned while running ") + error.what());
    }
  }

  void run_interruptible() {
    RunOptions plain;
    RunOptions& used = options ? *options : plain;
    const InterruptGuard guard(used.terminate);
    try {
      run_without_gil(&used);
    } catch (const Error& error) {
      // Raises KeyboardInterrupt where it was the signal that stopped the run.
      if (error.code() != ErrorCode::Cancelled || PyErr_CheckSignals() == 0) throw;
      throw py::error_already_set();
    }
  }
};

PySession::PySession(std::unique_ptr<Session> session) : session_(std::move(session)) {
  num_inputs_ = session_->inputs().size();
  for (const NodeArgInfo& info : session_->inputs()) slots_.emplace_back(info);
  for (const InputSlot& slot : slots_) num_required_ += slot.is_optional ? 0 : 1;
  for (const NodeArgInfo& info : session_->overridable()) slots_.emplace_back(info);
  for (size_t i = 0; i < slots_.size(); ++i) add_name(input_index_, slots_[i].name, static_cast<int>(i));
  for (size_t i = 0; i < session_->outputs().size(); ++i) {
    add_name(output_index_, session_->outputs()[i].name, static_cast<int>(i));
    all_outputs_.push_back(static_cast<int>(i));
  }
}

void PySession::close() noexcept {
  std::shared_ptr<Session> closed;  // destroyed outside of the lock
  const std::lock_guard lock(mutex_);
  closed.swap(session_);
}

std::shared_ptr<Session> PySession::session() const {
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    session = session_;
  }
  if (!session) raise(PyExc_RuntimeError, "the session is closed: make another InferenceSession of the model");
  return session;
}

void PySession::fail_missing(PyObject* feed) const {
  py::list missing;
  for (size_t i = 0; i < num_inputs_; ++i) {
    const auto name = py::reinterpret_steal<py::object>(text_to_python(slots_[i].name));
    if (!slots_[i].is_optional && PyDict_Contains(feed, name.ptr()) == 0) missing.append(name);
  }
  std::string declared;
  for (size_t i = 0; i < num_inputs_; ++i) declared += (i ? ", '" : "'") + slots_[i].name + "': " + slots_[i].declared;
  raise(PyExc_ValueError, "Required inputs (" + py::repr(missing).cast<std::string>() +
                              ") are missing from input feed (" +
                              py::repr(py::list(py::reinterpret_borrow<py::dict>(feed))).cast<std::string>() +
                              "). The model's inputs are " + declared + ".");
}

void PySession::select_outputs(PyObject* output_names, Call& call) const {
  call.outputs = all_outputs_;
  if (output_names == Py_None) return;
  if (PyUnicode_Check(output_names))
    raise(PyExc_TypeError, "run(): output_names is a list of names or None, not the string " +
                               py::repr(output_names).cast<std::string>());
  const auto names = py::reinterpret_steal<py::object>(
      PySequence_Fast(output_names, "run(): output_names is a list of names or None"));
  if (!names) throw py::error_already_set();
  const py::scoped_critical_section unchanged(names);
  const Py_ssize_t count = PySequence_Fast_GET_SIZE(names.ptr());
  if (count == 0) return;
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* name = PySequence_Fast_GET_ITEM(names.ptr(), i);
    if (!PyUnicode_Check(name))
      raise(PyExc_TypeError, "run(): output_names holds strings, not " + py::repr(name).cast<std::string>());
    int index = find_index(output_index_, name);
    if (index == kNotFound) index = call.session->find_output(text_from_python(name));
    if (index == kNotFound)
      invalid_argument("Invalid output name:" + text_from_python(name) + ". The model's outputs are " +
                       names_text(output_index_));
    call.selected.push_back(index);
  }
  call.outputs = call.selected;
}

void PySession::prepare(PyObject* output_names, PyObject* feed, PyObject* run_options, Call& call) const {
  call.session = session();
  if (run_options != Py_None) {
    if (!py::isinstance<RunOptions>(run_options))
      raise(PyExc_TypeError,
            "run(): run_options is a RunOptions or None, not " + py::repr(run_options).cast<std::string>());
    call.options = &py::handle(run_options).cast<RunOptions&>();
  }
  py::object copied;
  if (!PyDict_Check(feed)) {
    copied = py::dict();
    if (PyDict_Update(copied.ptr(), feed) != 0) throw py::error_already_set();
    feed = copied.ptr();
  }

  References fed;
  size_t required = 0;
  py::object unknown;
  {
    const py::scoped_critical_section unchanged(feed);
    PyObject* key = nullptr;
    PyObject* value = nullptr;
    for (Py_ssize_t position = 0; PyDict_Next(feed, &position, &key, &value);) {
      const int index = PyUnicode_Check(key) ? find_index(input_index_, key) : kNotFound;
      if (index == kNotFound) {
        unknown = py::reinterpret_borrow<py::object>(key);
        continue;
      }
      const auto at = static_cast<size_t>(index);
      if (at < num_inputs_ && !slots_[at].is_optional) ++required;
      call.inputs.push_back(index);
      fed.add(value);
    }
  }
  if (required != num_required_) fail_missing(feed);
  if (unknown && !PyUnicode_Check(unknown.ptr()))
    raise(PyExc_TypeError, "run(): the names of inputs are strings, not " + py::repr(unknown).cast<std::string>());
  if (unknown)
    invalid_argument("Invalid input name: " + text_from_python(unknown.ptr()) + ". The model's inputs are " +
                     names_text(input_index_));
  select_outputs(output_names, call);

  call.feeds.reserve(call.inputs.size());
  for (size_t i = 0; i < call.inputs.size(); ++i)
    call.feeds.push_back(value_from_python(fed[i], slots_[static_cast<size_t>(call.inputs[i])]));
  // An optional input that is not fed has no value.
  for (size_t i = 0; num_required_ != num_inputs_ && i < num_inputs_; ++i) {
    if (!slots_[i].is_optional || std::find(call.inputs.begin(), call.inputs.end(), i) != call.inputs.end()) continue;
    call.inputs.push_back(static_cast<int>(i));
    call.feeds.emplace_back();
  }
  call.results.resize(call.outputs.size());
}

// What the caller receives shares memory with nothing else: an output that is asked for twice is two arrays, and one
// that is a fed value is a copy of it. A result in the memory that the caller bound to it is meant to be there.
void PySession::separate(Call& call, std::span<const Value> targets) {
  auto same_memory = [](const Value& a, const Value& b) {
    return a.is_tensor() && b.is_tensor() && a.tensor().buffer() && a.tensor().buffer() == b.tensor().buffer();
  };
  for (size_t i = 0; i < call.results.size(); ++i) {
    const Value& result = call.results[i];
    const bool in_place = i < targets.size() && targets[i].is_tensor() && result.is_tensor() &&
                          targets[i].tensor().identity() == result.tensor().identity();
    if (in_place) continue;
    bool shared = false;
    for (const Value& feed : call.feeds) shared |= same_memory(feed, call.results[i]);
    for (size_t k = 0; k < i && !call.selected.empty(); ++k) shared |= same_memory(call.results[k], call.results[i]);
    if (shared) call.results[i] = copy_of(call.results[i].tensor());
  }
}

PyObject* PySession::run(PyObject* output_names, PyObject* feed, PyObject* run_options) const {
  Call call;
  prepare(output_names, feed, run_options, call);
  call.run(last_run_ns_);
  auto list = py::reinterpret_steal<py::object>(PyList_New(static_cast<Py_ssize_t>(call.results.size())));
  if (!list) throw py::error_already_set();
  separate(call);
  for (size_t i = 0; i < call.results.size(); ++i)
    PyList_SET_ITEM(list.ptr(), static_cast<Py_ssize_t>(i), value_to_python(call.results[i]));
  return list.release().ptr();
}

py::list PySession::run_values(const py::object& output_names, const py::object& feed, const py::list& bound,
                               const py::object& run_options) const {
  Call call;
  prepare(output_names.ptr(), feed.ptr(), run_options.ptr(), call);
  for (size_t i = 0; i < call.results.size() && i < bound.size(); ++i) {
    if (const Value* value = held_value(py::object(bound[i]).ptr())) call.results[i] = *value;
  }
  const std::vector<Value> targets = call.results;
  call.run(last_run_ns_);
  separate(call, targets);
  for (size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].is_tensor() && !is_request(targets[i].tensor()))
      write_bound(call.results[i], targets[i].tensor(), call.session->output_info(call.outputs[i]));
  }
  py::list list;
  for (Value& result : call.results) list.append(py::cast(OrtValue{std::move(result)}));
  return list;
}

}  // namespace fastort::bindings
