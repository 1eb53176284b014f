#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ops/core/custom.h"
#include "tensor/tensor.h"

namespace fastort {

// Options of a session, with ONNX Runtime's names and defaults.
struct SessionOptions {
  int intra_op_num_threads = 0;  // 0: every CPU that the process may use
  int inter_op_num_threads = 0;
  int optimization_level = 99;  // ORT_DISABLE_ALL 0, BASIC 1, EXTENDED 2, LAYOUT 3, ALL 99
  bool enable_profiling = false;
  std::string profile_file_prefix = "onnxruntime_profile_";
  bool enable_mem_pattern = true;
  bool enable_cpu_mem_arena = true;
  bool enable_mem_reuse = true;
  bool use_deterministic_compute = false;
  int execution_mode = 0;
  int log_severity_level = -1;
  int log_verbosity_level = 0;
  std::string logid;
  std::string optimized_model_filepath;
  std::map<std::string, std::string> config_entries;
  std::map<std::string, int64_t> free_dimension_by_name;
  std::map<std::string, int64_t> free_dimension_by_denotation;
  std::map<std::string, Tensor> initializers;  // take the place of the model's initializers of these names
  std::vector<std::string> disabled_passes;
  std::map<std::string, std::shared_ptr<Buffer>> external_files;  // instead of those beside the model, by location
  std::shared_ptr<const std::atomic<bool>> load_cancelled;        // set from another thread to give up the making
  std::vector<CustomOpPtr> custom_ops;  // of this session, in front of the process's; later ones hide earlier ones
  // Providers with their options, the preferred one first; the CPU comes last, named or not.
  std::vector<std::pair<std::string, std::map<std::string, std::string>>> providers;
};

// Options of one run. `terminate` may be set from another thread while the run goes on.
struct RunOptions {
  std::atomic<bool> terminate{false};
  int log_severity_level = 2;
  int log_verbosity_level = 0;
  std::string logid;
  bool only_execute_path_to_fetches = false;
  std::map<std::string, std::string> config_entries;
  double timeout_seconds = 0;  // 0: none
};

}  // namespace fastort
