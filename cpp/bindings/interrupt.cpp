#include "bindings/interrupt.h"

#include <pybind11/pybind11.h>
#include <signal.h>

namespace py = pybind11;

namespace fastort::bindings {
namespace {

std::atomic<std::atomic<bool>*> interrupted{nullptr};
std::atomic<bool> fired{false};
static_assert(std::atomic<std::atomic<bool>*>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

// Python's handler, which notes the signal for the interpreter.
struct sigaction previous;

void on_interrupt(int signal, siginfo_t* info, void* context) {
  if (std::atomic<bool>* flag = interrupted.load()) {
    fired.store(true);
    flag->store(true);
  }
  if (previous.sa_flags & SA_SIGINFO)
    previous.sa_sigaction(signal, info, context);
  else
    previous.sa_handler(signal);
}

bool in_main_thread() {
  const py::object thread = py::module_::import("threading").attr("main_thread")();
  return thread.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

bool python_raises_on_interrupt() {
  const auto signals = py::module_::import("signal");
  return signals.attr("getsignal")(SIGINT).is(signals.attr("default_int_handler"));
}

bool has_handler(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

}  // namespace

InterruptGuard::InterruptGuard(std::atomic<bool>& flag) : flag_(flag) {
  // A run inside a run's callback finds the outer one's guard in place.
  if (interrupted.load() || !in_main_thread() || !python_raises_on_interrupt()) return;
  if (sigaction(SIGINT, nullptr, &previous) != 0 || !has_handler(previous)) return;
  fired.store(false);
  interrupted.store(&flag);
  struct sigaction action {};
  action.sa_sigaction = on_interrupt;
  action.sa_mask = previous.sa_mask;
  action.sa_flags = previous.sa_flags | SA_SIGINFO;
  installed_ = sigaction(SIGINT, &action, nullptr) == 0;
  if (!installed_) interrupted.store(nullptr);
}

InterruptGuard::~InterruptGuard() {
  if (!installed_) return;
  sigaction(SIGINT, &previous, nullptr);
  interrupted.store(nullptr);
  if (fired.load()) flag_.store(false);
}

}  // namespace fastort::bindings
