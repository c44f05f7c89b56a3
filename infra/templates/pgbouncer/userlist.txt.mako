"${user}" "${password}"
