"""Plots with Matplotlib, of plain arrays and reports: what is plotted is made elsewhere.

Every function takes ``ax=`` and returns the Axes that it drew on, an array of them where there are
several. Nothing is shown, closed or saved, and Matplotlib is loaded by the first plot.
"""
