#pragma once

#include <Python.h>

namespace fastort::bindings {

// Guards what the GIL guards by itself in the builds of Python that have one.
class GilMutex {
 public:
#ifdef Py_GIL_DISABLED
  void lock() noexcept { PyMutex_Lock(&mutex_); }
  void unlock() noexcept { PyMutex_Unlock(&mutex_); }

 private:
  PyMutex mutex_{};
#else
  void lock() noexcept {}
  void unlock() noexcept {}
#endif
};

}  // namespace fastort::bindings
