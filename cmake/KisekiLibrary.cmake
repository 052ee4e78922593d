# kiseki_library(NAME SOURCES a.cpp ... DEPENDS room ... [LINK target ...])
# One room of src/ as a static library. DEPENDS names rooms; the `layering` test reads the same edges from #includes.
function(kiseki_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINK" ${ARGN})
  add_library(kiseki_${name} STATIC ${arg_SOURCES})
  target_link_libraries(kiseki_${name} PUBLIC kiseki_boost ${arg_LINK} PRIVATE kiseki_warnings)
  foreach(room ${arg_DEPENDS})
    target_link_libraries(kiseki_${name} PUBLIC kiseki_${room})
  endforeach()
  set_property(GLOBAL APPEND PROPERTY KISEKI_LAYERS "${name}:${arg_DEPENDS}")
endfunction()

# kiseki_time_limit(VARIABLE SECONDS): CTest's TIMEOUT for a test that may take so long without a sanitizer.
function(kiseki_time_limit variable seconds)
  math(EXPR limit "${seconds} * ${KISEKI_SLOWDOWN}")
  set(${variable} ${limit} PARENT_SCOPE)
endfunction()

# kiseki_test(NAME SOURCES a.cpp ... DEPENDS room ... [LABELS l ...]): one GoogleTest program, run by ctest as a whole.
# Those that need no mount make up the target `suites`.
function(kiseki_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPENDS;LINK;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE kiseki_test_support kiseki_warnings GTest::gtest GTest::gtest_main ${arg_LINK})
  foreach(room ${arg_DEPENDS})
    target_link_libraries(${name} PRIVATE kiseki_${room})
  endforeach()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if(arg_LABELS MATCHES "^(unit|contract|model|wire)$")
    add_dependencies(suites ${name})
  endif()
  kiseki_time_limit(limit ${arg_TIMEOUT})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${limit} LABELS "${arg_LABELS}" SKIP_REGULAR_EXPRESSION "SKIPPED ALL"
    ENVIRONMENT "KISEKI_SHARED=${KISEKI_SHARED};${KISEKI_TEST_ENVIRONMENT}")
endfunction()
