//go:build race

package main

// raceDetector slows everything down several times over: what is measured under it says nothing.
const raceDetector = true
