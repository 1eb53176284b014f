# Finds the compiled dependencies, building those that are missing (tools/deps.py says where they are kept).
find_package(Python COMPONENTS Interpreter REQUIRED)
find_package(Threads REQUIRED)
set(deps_options)
if(NOT FASTORT_IMAGE_CODECS)
  set(deps_options --no-image-codecs)
endif()
if(NOT FASTORT_VULKAN)
  list(APPEND deps_options --no-vulkan)
endif()
execute_process(
  COMMAND ${Python_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/deps.py ${deps_options}
  OUTPUT_VARIABLE prefixes OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" prefixes "${prefixes}")
list(APPEND CMAKE_PREFIX_PATH ${prefixes})

find_package(dnnl CONFIG REQUIRED NO_DEFAULT_PATH PATHS ${prefixes})
find_package(hwy CONFIG REQUIRED NO_DEFAULT_PATH PATHS ${prefixes})
find_package(Protobuf CONFIG REQUIRED NO_DEFAULT_PATH PATHS ${prefixes})

foreach(prefix IN LISTS prefixes)
  if(EXISTS ${prefix}/lib/libonnx_cpp.a)
    add_library(onnx_cpp STATIC IMPORTED)
    set_target_properties(onnx_cpp PROPERTIES
      IMPORTED_LOCATION ${prefix}/lib/libonnx_cpp.a
      INTERFACE_INCLUDE_DIRECTORIES ${prefix}/include
      INTERFACE_COMPILE_DEFINITIONS "ONNX_ML=1;ONNX_NAMESPACE=onnx;__ONNX_DISABLE_STATIC_REGISTRATION"
      INTERFACE_LINK_LIBRARIES protobuf::libprotobuf)
  endif()
endforeach()

# fastort_recipe_prefix(<recipe> <variable>) gives the folder that holds what a recipe made.
function(fastort_recipe_prefix recipe out)
  list(FILTER prefixes INCLUDE REGEX "/${recipe}-[0-9][^/]*$")
  if(NOT prefixes)
    message(FATAL_ERROR "tools/deps.py built no ${recipe}")
  endif()
  set(${out} ${prefixes} PARENT_SCOPE)
endfunction()

# fastort_private_library(<recipe> <archive> <source>...) links an archive of the recipe, and shows its headers to the
# given sources alone: no other file is compiled anew when a dependency changes or is added.
function(fastort_private_library recipe archive)
  list(FILTER prefixes INCLUDE REGEX "/${recipe}-[^/]*$")
  if(NOT prefixes)
    message(FATAL_ERROR "tools/deps.py built no ${recipe}")
  endif()
  if(ARGN)
    set_property(SOURCE ${ARGN} APPEND PROPERTY INCLUDE_DIRECTORIES ${prefixes}/include)
  endif()
  target_link_libraries(fastort_core PRIVATE ${prefixes}/lib/${archive})
endfunction()
