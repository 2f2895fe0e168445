package main

import "github.com/urfave/cli/v2"

var compileCommand = &cli.Command{Name: "compile"}
var demoCommand = &cli.Command{Name: "demo"}
