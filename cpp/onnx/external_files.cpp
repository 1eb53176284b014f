#include "onnx/external_files.h"

#include <filesystem>

#include "base/error.h"
#include "onnx/mapped_file.h"

namespace fastort {

ExternalFiles::ExternalFiles(std::string folder, const std::map<std::string, std::shared_ptr<Buffer>>& in_memory)
    : folder_(std::move(folder)), in_memory_(in_memory) {}

std::shared_ptr<Buffer> ExternalFiles::open(const std::string& location, const std::string& tensor) {
  if (const auto found = in_memory_.find(location); found != in_memory_.end()) return found->second;
  if (const auto found = mapped_.find(location); found != mapped_.end()) return found->second;
  const auto refuse = [&](const std::string& why) {
    fail(ErrorCode::Fail, "External data of initializer '" + tensor + "' cannot be read: " + why);
  };
  if (location.empty() || location.find('\0') != std::string::npos) refuse("its location is empty or no file name");
  const std::filesystem::path relative = std::filesystem::path(location).lexically_normal();
  if (relative.is_absolute())
    refuse("location '" + location + "' is an absolute path; it must be relative to the model's folder");
  if (*relative.begin() == "..") refuse("location '" + location + "' leaves the model's folder");
  const std::string path = (std::filesystem::path(folder_) / relative).string();
  std::shared_ptr<Buffer> file;
  try {
    file = map_file(path);
  } catch (const Error& error) {
    refuse(error.code() == ErrorCode::NoSuchFile ? "file '" + path + "' does not exist" : error.what());
  }
  mapped_.emplace(location, file);
  return file;
}

}  // namespace fastort
