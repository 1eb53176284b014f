#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <memory>

#include "runtime/options.h"

namespace fastort::bindings {

struct Flag {
  std::shared_ptr<std::atomic<bool>> value = std::make_shared<std::atomic<bool>>(false);
};

// The engine's options out of a `fastort.SessionOptions`.
SessionOptions session_options(const pybind11::object& options);

void bind_run_options(pybind11::module_& module);

}  // namespace fastort::bindings
